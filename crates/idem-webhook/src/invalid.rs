//! [`Invalid`]: why a delivery was refused before anything was stored.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use idem_core::error::KeyError;

use crate::receipt::answer;

/// Why a delivery was refused. The store was not asked, and no handler ran.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use idem_webhook::{Invalid, Verifier};
///
/// let github = Verifier::github(["a secret"])?;
/// let refused = github.verify(&HeaderMap::new(), b"{}").unwrap_err();
/// assert_eq!(refused, Invalid::HeaderMissing("x-hub-signature-256"));
/// assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
/// # Ok::<(), idem_webhook::SecretError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// `header-missing`, 400: a header of the scheme is not there.
    #[error("the header {0} is missing")]
    HeaderMissing(&'static str),
    /// `header-malformed`, 400: a header of the scheme is there twice, is not ASCII, or does not
    /// hold what it has to.
    #[error("the header {header} {why}")]
    HeaderMalformed {
        /// Which one.
        header: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `signature-wrong`, 401: none of the signatures is that of these bytes under any of the
    /// secrets.
    #[error("no signature fits this body")]
    SignatureWrong,
    /// `timestamp-refused`, 401: it was signed too long ago, or in the future. It may be an old
    /// delivery that somebody sends again, or a clock is wrong.
    #[error("it was signed {apart:?} {}, which is more than the {tolerance:?} that are allowed",
        if *.is_old { "ago" } else { "in the future" })]
    TimestampRefused {
        /// Whether it is in the past.
        is_old: bool,
        /// How far from this machine's time.
        apart: Duration,
        /// How far it may be.
        tolerance: Duration,
    },
    /// `id-missing`, 400: it is signed, and its JSON body has no text `id`.
    #[error("the body is not a JSON object with an `id`")]
    IdMissing,
    /// `id-refused`, 400: it is signed, and its id is empty or longer than 255 bytes.
    #[error("the event's id cannot be a key: {0}")]
    IdRefused(KeyError),
    /// `body-too-large`, 413: see [`Inbox::body_limit`](crate::Inbox::body_limit).
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The bound.
        limit: usize,
    },
    /// `body-unreadable`, 400: it broke off.
    #[error("the body did not arrive whole")]
    BodyUnreadable,
    /// `misconfigured`, 500: the application has no [`Inbox`](crate::Inbox) where the extractor
    /// looks for it.
    #[error("the service has no inbox for this route")]
    Misconfigured,
}

impl Invalid {
    /// The text that names the kind of refusal; it never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::HeaderMissing(_) => "header-missing",
            Self::HeaderMalformed { .. } => "header-malformed",
            Self::SignatureWrong => "signature-wrong",
            Self::TimestampRefused { .. } => "timestamp-refused",
            Self::IdMissing => "id-missing",
            Self::IdRefused(_) => "id-refused",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::BodyUnreadable => "body-unreadable",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// The status that the sender is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignatureWrong | Self::TimestampRefused { .. } => StatusCode::UNAUTHORIZED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer: `application/problem+json` with the code.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        answer(self.status(), self.code(), &self.to_string(), None)
    }
}
