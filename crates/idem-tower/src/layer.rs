//! [`IdempotencyLayer`] and its builder.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Method, Response, StatusCode, request::Parts};
use idem_core::{Idempotency, Scope};
use idem_http::{ErrorFormat, FingerprintRules, KeyHeader, Problem, Profile, StatusRules};
use tower_layer::Layer;

use crate::{
    IdempotencyService, Refusal,
    config::{Config, OnError},
    scope::ScopeOf,
};

/// Makes a service answer a repeated request with its first answer.
///
/// ```
/// use idem_core::{Idempotency, Scope};
/// use idem_tower::IdempotencyLayer;
/// use http::{StatusCode, request::Parts};
///
/// /// What an authentication layer outside of this one leaves behind.
/// #[derive(Clone)]
/// struct Merchant(String);
///
/// # fn example(idem: Idempotency) -> IdempotencyLayer {
/// IdempotencyLayer::builder(idem)
///     .scope(|parts: &Parts| match parts.extensions.get::<Merchant>() {
///         Some(Merchant(name)) => Ok(Scope::new(name)?),
///         None => Err(StatusCode::UNAUTHORIZED.into()),
///     })
///     .build()
/// # }
/// ```
///
/// There is no layer without a scope, because two callers who send the same key must never see
/// each other's answers:
///
/// ```compile_fail
/// # fn example(idem: idem_core::Idempotency) -> idem_tower::IdempotencyLayer {
/// idem_tower::IdempotencyLayer::builder(idem).build()
/// # }
/// ```
#[derive(Clone)]
pub struct IdempotencyLayer {
    config: Arc<Config>,
}

impl IdempotencyLayer {
    /// Starts a layer over an engine. Routes that differ in lease, retention or what to do when
    /// busy get an engine of their own by [`Idempotency::with_policy`].
    pub fn builder(idem: Idempotency) -> Builder<NoScope> {
        Builder {
            idem,
            profile: Profile::default(),
            on_error: None,
            transactions: false,
            scope: NoScope,
        }
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = IdempotencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IdempotencyService::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer")
            .field("config", &self.config)
            .finish()
    }
}

/// A builder that has not been told whose keys these are.
#[derive(Debug, Clone, Copy)]
pub struct NoScope;

/// A builder that has.
#[derive(Clone)]
pub struct Scoped(ScopeOf);

/// Puts an [`IdempotencyLayer`] together.
#[must_use = "call `scope` and `build`"]
pub struct Builder<W> {
    idem: Idempotency,
    profile: Profile,
    on_error: Option<OnError>,
    transactions: bool,
    scope: W,
}

impl Builder<NoScope> {
    /// Reads the scope of each request: its *verified* caller, from what an authentication layer
    /// outside of this one left in the extensions, never from what the request claims.
    ///
    /// It runs for requests with a key, before their body is read. An `Err` is the answer.
    pub fn scope(
        self,
        scope: impl Fn(&Parts) -> Result<Scope, Refusal> + Send + Sync + 'static,
    ) -> Builder<Scoped> {
        self.scoped(Arc::new(scope))
    }

    /// One namespace for all callers: whoever knows a key gets its answer. For services with one
    /// caller.
    pub fn scope_global(self) -> Builder<Scoped> {
        self.scoped(Arc::new(|_| Ok(Scope::global())))
    }

    fn scoped(self, scope: ScopeOf) -> Builder<Scoped> {
        Builder {
            idem: self.idem,
            profile: self.profile,
            on_error: self.on_error,
            transactions: self.transactions,
            scope: Scoped(scope),
        }
    }
}

impl<W> Builder<W> {
    /// Sets all knobs below at once: call it first.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Refuses requests without a key, with 400.
    pub fn required(mut self) -> Self {
        self.profile.required = true;
        self
    }

    /// Lets requests without a key run unprotected. One with a malformed key is refused still.
    pub fn optional(mut self) -> Self {
        self.profile.required = false;
        self
    }

    /// Protects these methods, and ignores the key on all others.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.profile.methods = methods.into_iter().collect();
        self
    }

    /// Reads the key from a header of this name.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.profile.key.name = name;
        self
    }

    /// Reads the key like this.
    pub fn key(mut self, key: KeyHeader) -> Self {
        self.profile.key = key;
        self
    }

    /// Answers another request under a known key with this status.
    pub fn mismatch(mut self, status: StatusCode) -> Self {
        self.profile.mismatch = status;
        self
    }

    /// Marks replays with a header of this name.
    pub fn replayed(mut self, name: HeaderName) -> Self {
        self.profile.replayed = name;
        self
    }

    /// Takes bodies of at most this many bytes in requests with a key.
    pub fn request_limit(mut self, bytes: usize) -> Self {
        self.profile.request_limit = bytes;
        self
    }

    /// Stores bodies of at most this many bytes. A larger one is sent whole once, and stored
    /// without its body.
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.profile.response_limit = bytes;
        self
    }

    /// Compresses stored bodies from this size on.
    #[cfg(feature = "zstd")]
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.profile.compress_from = Some(bytes);
        self
    }

    /// Says what makes two requests the same.
    pub fn fingerprint(mut self, rules: FingerprintRules) -> Self {
        self.profile.fingerprint = rules;
        self
    }

    /// Says which statuses let the next request run.
    pub fn statuses(mut self, rules: StatusRules) -> Self {
        self.profile.statuses = rules;
        self
    }

    /// Stores and replays one more header.
    pub fn keep_header(mut self, name: HeaderName) -> Self {
        self.profile.kept = self.profile.kept.and(name);
        self
    }

    /// Lets handlers hand over the transaction that they write in, to be committed together with
    /// the answer (G7): they find a [`RecordWith`](crate::RecordWith) in the extensions of every
    /// request that runs under a claim.
    pub fn transactions(mut self) -> Self {
        self.transactions = true;
        self
    }

    /// Marks replays whose body was not kept with a header of this name.
    pub fn omitted(mut self, name: HeaderName) -> Self {
        self.profile.omitted = name;
        self
    }

    /// Writes problems like this.
    pub fn errors(mut self, format: ErrorFormat) -> Self {
        self.profile.errors = format;
        self
    }

    /// Answers problems in this route's own words, instead of in the profile's format. The status
    /// and `Retry-After` are the hook's to keep: [`Problem::into_response`] shows how.
    pub fn on_error(
        mut self,
        answer: impl Fn(Problem) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.on_error = Some(Arc::new(answer));
        self
    }
}

impl Builder<Scoped> {
    /// The layer.
    #[must_use]
    pub fn build(self) -> IdempotencyLayer {
        IdempotencyLayer {
            config: Arc::new(Config {
                idem: self.idem,
                profile: self.profile,
                on_error: self.on_error,
                transactions: self.transactions,
                scope: self.scope.0,
            }),
        }
    }
}

impl<W> fmt::Debug for Builder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("idem", &self.idem)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
