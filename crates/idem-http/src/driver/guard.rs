//! [`Guard`]: what all requests of one layer share.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use idem_core::Idempotency;

use super::{Answer, AnswerBody, PathFrom, detached::Tally};
use crate::{Code, Disposition, IDEMPOTENCY_DISPOSITION, Problem, Profile};

/// Turns a problem into its answer.
type OnError = Arc<dyn Fn(Problem) -> Response<Bytes> + Send + Sync>;

/// When to ask again after the store was out of reach: nobody knows, so soon.
pub(super) const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What all requests of one layer share: an engine and its knobs. Cheap to clone.
///
/// See the [module](super) for how to drive it.
#[derive(Clone)]
pub struct Guard(pub(super) Arc<Rules>);

#[derive(Clone)]
pub(super) struct Rules {
    pub(super) idem: Idempotency,
    pub(super) profile: Arc<Profile>,
    pub(super) transactions: bool,
    pub(super) path_from: PathFrom,
    pub(super) key_pointer: Option<Arc<str>>,
    pub(super) tally: Arc<Tally>,
    /// In place of the profile's format.
    on_error: Option<OnError>,
    warned: Arc<Warned>,
}

#[derive(Default)]
struct Warned {
    encoding: AtomicBool,
    cors: AtomicBool,
}

impl Guard {
    /// A guard over an engine, with [`Profile::default`].
    #[must_use]
    pub fn new(idem: Idempotency) -> Self {
        Self(Arc::new(Rules {
            idem,
            profile: Arc::default(),
            transactions: false,
            path_from: PathFrom::default(),
            key_pointer: None,
            tally: Arc::default(),
            on_error: None,
            warned: Arc::default(),
        }))
    }

    pub(super) fn with(mut self, set: impl FnOnce(&mut Rules)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }

    /// Sets the knobs of the HTTP side.
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.with(|rules| rules.profile = Arc::new(profile))
    }

    /// Says where the path that counts comes from; [`PathFrom::Noted`] by default.
    #[must_use]
    pub fn path_from(self, from: PathFrom) -> Self {
        self.with(|rules| rules.path_from = from)
    }

    /// Lets handlers hand over the transaction that they write in, to be committed together with
    /// the answer (G7): they find a [`CommitWith`](super::CommitWith) in the request's extensions.
    #[must_use]
    pub fn transactions(self) -> Self {
        self.with(|rules| rules.transactions = true)
    }

    /// Reads the key from the JSON body and not from a header: the string that `pointer`
    /// (RFC 6901) leads to, such as `/request_id`.
    ///
    /// The body is read before the key is known, so a request without a key is held to
    /// [`request_limit`](Profile::request_limit) as well. A body that is not JSON is
    /// refused (400), because nobody knows whether it was to have a key; an empty one has none.
    ///
    /// # Panics
    /// When `pointer` is no JSON pointer to a member: it has to begin with `/`.
    #[must_use]
    pub fn key_in_body(self, pointer: &str) -> Self {
        assert!(
            pointer.starts_with('/'),
            "a JSON pointer to a member begins with `/`, as in `/request_id`; this one is `{pointer}`"
        );
        self.with(|rules| rules.key_pointer = Some(pointer.into()))
    }

    /// Answers problems in this route's own words, instead of in the profile's format
    /// ([`Profile::errors`]). The status and `Retry-After` are the hook's to keep:
    /// [`Problem::into_response`] shows how. Where the hook panics, the profile's format is used.
    #[must_use]
    pub fn on_error(
        self,
        answer: impl Fn(Problem) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.with(|rules| rules.on_error = Some(Arc::new(answer)))
    }

    /// The engine.
    #[must_use]
    pub fn idempotency(&self) -> &Idempotency {
        &self.0.idem
    }

    /// The answer to a problem.
    ///
    /// All problems but `handler-failed` say something of this moment and nothing of what the
    /// request did for ever: a layer further out, in this process or another, must not store them.
    pub(super) fn problem(&self, problem: Problem) -> Response<Bytes> {
        let is_final = problem.code == Code::HandlerFailed;
        let mut response = self.in_words(problem);
        if !is_final {
            let retryable = http::HeaderValue::from_static("retryable");
            response
                .headers_mut()
                .insert(IDEMPOTENCY_DISPOSITION, retryable);
            response.extensions_mut().insert(Disposition::Retryable);
        }
        response
    }

    /// A hook that panics costs the request its words and not its ending.
    fn in_words(&self, problem: Problem) -> Response<Bytes> {
        let Some(on_error) = &self.0.on_error else {
            return self.0.profile.problem(&problem);
        };
        let kept = problem.clone();
        let words = catch_unwind(AssertUnwindSafe(|| on_error(problem)));
        words.unwrap_or_else(|_| self.0.profile.problem(&kept))
    }

    pub(super) fn refuse(&self, problem: Problem) -> Answer {
        self.problem(problem).map(AnswerBody::from)
    }

    /// The answer that is a status alone.
    pub(super) fn bare(&self, status: StatusCode) -> Response<Bytes> {
        #[cfg(feature = "grpc")]
        if self.0.profile.grpc.is_some() {
            return crate::grpc::bare(status);
        }
        let mut response = Response::default();
        *response.status_mut() = status;
        response
    }

    pub(super) fn handler_failed(&self) -> Response<Bytes> {
        self.problem(Problem::new(Code::HandlerFailed))
    }

    /// Warns, once for each layer, of a layer inside of this one that belongs outside.
    pub(super) fn notice(&self, headers: &HeaderMap) {
        if headers.contains_key(header::CONTENT_ENCODING)
            && names_accept_encoding(headers)
            && !self.0.warned.encoding.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "an answer is stored compressed, and would be replayed to clients that did not ask \
                 for it: put the compression layer outside of the idempotency layer"
            );
        }
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            && !self.0.warned.cors.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "CORS headers are not stored, so replays lack them: put the CORS layer outside of \
                 the idempotency layer"
            );
        }
    }
}

/// Whether the encoding was chosen for this client.
fn names_accept_encoding(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::VARY)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("accept-encoding"))
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("idem", &self.0.idem)
            .field("profile", &self.0.profile)
            .field("transactions", &self.0.transactions)
            .field("path_from", &self.0.path_from)
            .finish_non_exhaustive()
    }
}
