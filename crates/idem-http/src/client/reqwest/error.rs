//! [`IntentError`]: what the middleware says when it has no outcome.

use bytes::Bytes;
use idem_core::IdempotencyKey;
use reqwest_middleware::Error;

use super::super::GaveUp;

/// Why a request that was sent through
/// [`IdempotencyMiddleware`](super::IdempotencyMiddleware) has no outcome.
///
/// It has the key, which is needed to go on with the same intent, and the last reply. It comes as
/// [`reqwest_middleware::Error::Middleware`]; [`of`](Self::of) gets it out:
///
/// ```
/// use idem_http::client::{GaveUp, IntentError};
///
/// fn is_safe_to_start_over(error: &reqwest_middleware::Error) -> bool {
///     IntentError::of(error)
///         .is_some_and(|error| matches!(error.gave_up(), GaveUp::NothingRan(_)))
/// }
/// # let error = reqwest_middleware::Error::middleware(std::io::Error::other("no network"));
/// # assert!(!is_safe_to_start_over(&error));
/// ```
///
/// Its source is the error of the last sending, if that had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{gave_up}")]
pub struct IntentError {
    key: IdempotencyKey,
    gave_up: GaveUp,
    response: Option<http::Response<Bytes>>,
    source: Option<Error>,
}

impl IntentError {
    pub(super) fn new(key: IdempotencyKey, gave_up: GaveUp) -> Self {
        Self {
            key,
            gave_up,
            response: None,
            source: None,
        }
    }

    pub(super) fn with_response(mut self, response: http::Response<Bytes>) -> Self {
        self.response = Some(response);
        self
    }

    pub(super) fn with_source(mut self, source: Error) -> Self {
        self.source = Some(source);
        self
    }

    /// The error of the middleware behind an error of the client, if it is one.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Middleware(error) => error.downcast_ref(),
            Error::Reqwest(_) => None,
        }
    }

    /// The intent's key. To go on with the intent, use it with
    /// [`Intent::resume`](super::super::Intent::resume).
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Whether nothing ran or the outcome is unknown, and why nothing is sent any more.
    #[must_use]
    pub fn gave_up(&self) -> GaveUp {
        self.gave_up
    }

    /// The last answer, if the last sending had one, with its body as far as it was read.
    #[must_use]
    pub fn response(&self) -> Option<&http::Response<Bytes>> {
        self.response.as_ref()
    }
}
