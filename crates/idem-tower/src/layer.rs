//! [`IdempotencyLayer`]: the layer, and its knobs.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};
use idem_core::{Idempotency, IdempotencyKey, Scope};
use idem_http::{
    Problem, Profile,
    driver::{Admission, Guard, Head, PathFrom, Rejection, RouteKnobs},
};
use tower_layer::Layer;

use crate::IdempotencyService;

type ScopeOf = Arc<dyn Fn(&Parts) -> Result<Scope, Rejection> + Send + Sync>;
type KnobsOf = Arc<dyn Fn(&Parts) -> Option<RouteKnobs> + Send + Sync>;
type KeyOf = Arc<dyn Fn(&Parts) -> Result<Option<IdempotencyKey>, Rejection> + Send + Sync>;

/// Makes a service answer a repeated request with its first answer.
///
/// It is its own builder: what is set below can be set in any order. Routes that differ in lease,
/// retention or what to do when busy get a layer of their own, over an engine by
/// [`Idempotency::with_policy`], or one layer has them all by [`per_route`](Self::per_route).
///
/// ```
/// use http::{StatusCode, request::Parts};
/// use idem_core::{Idempotency, Scope};
/// use idem_tower::{IdempotencyLayer, Profile};
///
/// /// What an authentication layer outside of this one leaves behind.
/// #[derive(Clone)]
/// struct Merchant(String);
///
/// # fn example(idem: Idempotency) -> IdempotencyLayer {
/// let scope = |parts: &Parts| match parts.extensions.get::<Merchant>() {
///     Some(Merchant(name)) => Ok(Scope::new(name)?),
///     None => Err(StatusCode::UNAUTHORIZED.into()),
/// };
/// IdempotencyLayer::new(idem, scope).profile(Profile::ietf().optional())
/// # }
/// ```
#[derive(Clone)]
pub struct IdempotencyLayer {
    guard: Guard,
    scope: ScopeOf,
    key: Option<KeyOf>,
    knobs: Option<KnobsOf>,
}

impl IdempotencyLayer {
    /// A layer over an engine, for keys that belong to the *verified* caller of each request.
    ///
    /// `scope` reads the caller from what an authentication layer outside of this one left in the
    /// extensions, never from what the request claims. It runs for requests with a key, before
    /// their body is read. An `Err` is the answer.
    pub fn new(
        idem: Idempotency,
        scope: impl Fn(&Parts) -> Result<Scope, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self {
            guard: Guard::new(idem),
            scope: Arc::new(scope),
            key: None,
            knobs: None,
        }
    }

    /// A layer with one namespace for all callers: whoever knows a key gets its answer. For
    /// services with one caller.
    #[must_use]
    pub fn global(idem: Idempotency) -> Self {
        Self::new(idem, |_| Ok(Scope::global()))
    }

    /// A layer for a gRPC service, such as tonic's: with [`Profile::grpc`], and the path as it is seen.
    /// It needs no gRPC library.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::request::Parts;
    /// use idem_core::{Idempotency, Scope};
    /// use idem_tower::{IdempotencyLayer, KeyRule, Profile};
    /// use tonic::{Request, Status, service::InterceptorLayer, transport::Server};
    ///
    /// /// The verified caller.
    /// #[derive(Clone)]
    /// struct Merchant(String);
    ///
    /// fn authenticate(mut call: Request<()>) -> Result<Request<()>, Status> {
    ///     let merchant = Merchant("merchant-7".to_owned()); // by the call's token
    ///     call.extensions_mut().insert(merchant);
    ///     Ok(call)
    /// }
    ///
    /// # fn example(idem: Idempotency) {
    /// let scope = |parts: &Parts| match parts.extensions.get::<Merchant>() {
    ///     Some(Merchant(name)) => Ok(Scope::new(name)?),
    ///     None => Err(Status::unauthenticated("who are you?").into_http::<Bytes>().into()),
    /// };
    /// let health = Profile::grpc().grpc_method("/grpc.health.v1.Health/", KeyRule::Ignored);
    /// let server = Server::builder()
    ///     .layer(InterceptorLayer::new(authenticate))
    ///     .layer(IdempotencyLayer::grpc(idem, scope).profile(health));
    /// # let _ = server;
    /// # }
    /// ```
    #[cfg(feature = "grpc")]
    pub fn grpc(
        idem: Idempotency,
        scope: impl Fn(&Parts) -> Result<Scope, Rejection> + Send + Sync + 'static,
    ) -> Self {
        Self::new(idem, scope)
            .profile(Profile::grpc())
            .path_from(PathFrom::AsSeen)
    }

    fn with(mut self, set: impl FnOnce(Guard) -> Guard) -> Self {
        self.guard = set(self.guard);
        self
    }

    /// Sets the knobs of the HTTP side; [`Profile::default`] otherwise.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.with(|guard| guard.profile(profile))
    }

    /// Says where the path that counts for the fingerprint comes from.
    ///
    /// The default is [`PathFrom::Noted`]: inside of an axum router with the crate feature `axum`,
    /// or inside of [`RememberTarget`](crate::RememberTarget). Without either, a request with a key
    /// is answered 500 and does not run, because nested routers would make two routes look alike.
    /// A service in which nothing rewrites paths says [`PathFrom::AsSeen`].
    #[must_use]
    pub fn path_from(self, from: PathFrom) -> Self {
        self.with(|guard| guard.path_from(from))
    }

    /// Reads the key from the JSON body and not from a header: the string that `pointer`
    /// (RFC 6901) leads to, such as `/request_id`.
    ///
    /// # Panics
    /// When `pointer` does not begin with `/`.
    #[must_use]
    pub fn key_in_body(self, pointer: &str) -> Self {
        self.with(|guard| guard.key_in_body(pointer))
    }

    /// Reads the key with a function and not from a header. `None` is a request without a key; an
    /// `Err` is the answer.
    ///
    /// ```
    /// use http::request::Parts;
    /// use idem_core::{Idempotency, IdempotencyKey};
    /// use idem_tower::{Code, IdempotencyLayer, Problem};
    ///
    /// # fn example(idem: Idempotency) -> IdempotencyLayer {
    /// // `PUT /payments/8e03978e-40d5-43dd-bc93-6894a57f9324`
    /// IdempotencyLayer::global(idem).key_from(|parts: &Parts| {
    ///     let Some(id) = parts.uri.path().strip_prefix("/payments/") else {
    ///         return Ok(None);
    ///     };
    ///     let key = IdempotencyKey::new(id);
    ///     key.map(Some).map_err(|_| Problem::new(Code::KeyMalformed).into())
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn key_from(
        mut self,
        key: impl Fn(&Parts) -> Result<Option<IdempotencyKey>, Rejection> + Send + Sync + 'static,
    ) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Lets handlers hand over the transaction that they write in, to be committed together with
    /// the answer (G7): they find a [`CommitWith`](crate::CommitWith) in the request's extensions.
    #[must_use]
    pub fn transactions(self) -> Self {
        self.with(Guard::transactions)
    }

    /// Answers problems in this route's own words, instead of in the profile's format
    /// ([`Profile::errors`]). The status and `Retry-After` are the hook's to keep:
    /// [`Problem::into_response`] shows how. Where the hook panics, the profile's format is used.
    #[must_use]
    pub fn on_error(
        self,
        answer: impl Fn(Problem) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|guard| guard.on_error(answer))
    }

    /// Says what a route has of its own, by the request: another profile, an engine with another
    /// policy. `None` for a route that has nothing. [`RouteKnobs`] in the request's extensions, left
    /// there by a layer outside of this one, come first, knob by knob.
    ///
    /// ```
    /// use http::request::Parts;
    /// use idem_core::{Idempotency, OnAbandoned, error::PolicyError};
    /// use idem_tower::{IdempotencyLayer, Profile, RouteKnobs};
    ///
    /// fn layer(idem: Idempotency) -> Result<IdempotencyLayer, PolicyError> {
    ///     let halting = idem.policy().clone().on_abandoned(OnAbandoned::Halt);
    ///     let payouts = RouteKnobs::new().engine(idem.with_policy(halting)?);
    ///     let orders = RouteKnobs::new().profile(Profile::ietf().optional());
    ///     Ok(IdempotencyLayer::global(idem).per_route(move |parts: &Parts| {
    ///         match parts.uri.path() {
    ///             "/payouts" => Some(payouts.clone()),
    ///             path if path.starts_with("/orders/") => Some(orders.clone()),
    ///             _ => None,
    ///         }
    ///     }))
    /// }
    /// ```
    #[must_use]
    pub fn per_route(
        mut self,
        knobs: impl Fn(&Parts) -> Option<RouteKnobs> + Send + Sync + 'static,
    ) -> Self {
        self.knobs = Some(Arc::new(knobs));
        self
    }

    /// The guard of the request's route.
    pub(crate) fn guard(&self, parts: &Parts) -> Cow<'_, Guard> {
        let route = self.knobs.as_ref().and_then(|knobs| knobs(parts));
        self.guard.for_route(parts.extensions.get(), route.as_ref())
    }

    pub(crate) fn admit(&self, guard: &Guard, parts: &Parts) -> Admission {
        let (head, scope) = (head(parts), || (self.scope)(parts));
        match &self.key {
            Some(key) => guard.admit_by(&head, || key(parts), scope),
            None => guard.admit(&head, scope),
        }
    }
}

/// With what axum's router noted.
pub(crate) fn head(parts: &Parts) -> Head<'_> {
    #[cfg(feature = "axum")]
    let noted = parts
        .extensions
        .get()
        .map(|axum::extract::OriginalUri(uri)| uri);
    #[cfg(not(feature = "axum"))]
    let noted = None;
    Head::from(parts).noted_by_framework(noted)
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = IdempotencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        IdempotencyService::new(inner, self.clone())
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
