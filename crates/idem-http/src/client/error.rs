//! [`IntentError`]: what a client says when an intent has no outcome.

use std::error::Error;

use bytes::Bytes;
use idem_core::IdempotencyKey;

use super::GaveUp;

/// An error of a client or of a body.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a request that was sent under an [`Intent`](super::Intent) has no outcome.
///
/// It has the key, which is needed to go on with the same intent, and the last reply. It is
/// somewhere among the causes of the client's error, and [`of`](Self::of) finds it:
///
/// ```
/// use idem_http::client::{GaveUp, IntentError};
///
/// fn is_safe_to_start_over(error: &(dyn std::error::Error + 'static)) -> bool {
///     IntentError::of(error)
///         .is_some_and(|error| matches!(error.gave_up(), GaveUp::NothingRan(_)))
/// }
/// # assert!(!is_safe_to_start_over(&std::io::Error::other("no network")));
/// ```
///
/// Its source is the error of the last sending, if that had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{gave_up}")]
pub struct IntentError {
    key: IdempotencyKey,
    gave_up: GaveUp,
    response: Option<http::Response<Bytes>>,
    source: Option<BoxError>,
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

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error of this type among an error's causes, itself included.
    #[must_use]
    pub fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // It is no cause of its own, and skips the error that it is made of.
            #[cfg(feature = "reqwest")]
            if let Some(reqwest_middleware::Error::Middleware(made_of)) = error.downcast_ref()
                && let Some(found) = made_of.downcast_ref()
            {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// The intent's key. To go on with the intent, use it with
    /// [`Intent::resume`](super::Intent::resume).
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
