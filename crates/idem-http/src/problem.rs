//! Answers that do not come from the handler: a [`Problem`], which an [`ErrorFormat`] writes into a
//! response, as problem details (RFC 9457) by default.
//!
//! Each problem has a [`Code`] that never changes, so clients can act on it, and a `type` that leads
//! to its documentation.

mod format;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

pub use format::{ErrorFormat, NotAbsolute};

/// `application/problem+json`, RFC 9457, §3.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The documentation of the variants of [`Code`].
const TYPE_BASE: &str =
    "https://docs.rs/idem-http/latest/idem_http/problem/enum.Code.html#variant.";

/// The kind of a problem. Its text and its `type` URI never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `key-missing`: the route requires a key and the request has none.
    KeyMissing,
    /// `key-malformed`: the header does not hold exactly one well-formed key.
    KeyMalformed,
    /// `fingerprint-mismatch`: the key belongs to another request. Draw a new key for a new
    /// intent; repeat a request unchanged. Asking again does not help.
    FingerprintMismatch,
    /// `in-flight`: the first request with this key has not ended. Ask again after the time in
    /// `Retry-After`, with the same key and the same request.
    InFlight,
    /// `outcome-unknown`: an execution of this request vanished half-way, and nobody can tell
    /// whether it had its effect. Somebody has to look; asking again does not help before.
    OutcomeUnknown,
    /// `attempts-exhausted`: the key has had all the executions that the service allows.
    AttemptsExhausted,
    /// `store-unavailable`: the service cannot tell whether the request ran before, so it did not
    /// run. Ask again with the same key after the time in `Retry-After`.
    StoreUnavailable,
    /// `rolled-back`: the request ran, and what it did was rolled back together with its answer:
    /// nothing happened. Ask again with the same key after the time in `Retry-After`.
    RolledBack,
    /// `commit-unknown`: the request ran, and it is not known whether what it did was committed.
    /// Ask again with the same key after the time in `Retry-After`: the repeat finds out.
    CommitUnknown,
    /// `overloaded`: too many requests of clients that are gone are still being processed, so this
    /// one did not run. Ask again after the time in `Retry-After`.
    Overloaded,
    /// `misconfigured`: the service is set up wrong, as its log says. The request did not run.
    Misconfigured,
    /// `record-unreadable`: what the service knows of this key cannot be read, so the request did
    /// not run. Somebody has to look.
    RecordUnreadable,
    /// `body-too-large`: the request's body is larger than the route takes. It did not run.
    BodyTooLarge,
    /// `body-unreadable`: the request's body did not arrive whole. It did not run.
    BodyUnreadable,
    /// `body-not-canonical`: the body is ambiguous. A JSON body is not valid, repeats a member, or has
    /// a number that parsers read differently; a form has an unescaped character; a multipart body
    /// is not framed by its boundary. The request did not run.
    BodyNotCanonical,
    /// `scope-refused`: the request does not tell whose it is in a way that the service takes. It
    /// did not run.
    ScopeRefused,
    /// `handler-failed`: the request ran and broke down; its effect may have happened. It will not
    /// run again under this key.
    HandlerFailed,
    /// `answer-not-kept`: the request ran to its end, and its answer was too large to keep or broke
    /// off. It will not run again under this key. For gRPC, where an answer without its messages would
    /// be taken for one that had none; over HTTP a header of the replay says it.
    AnswerNotKept,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 18] = [
        Self::KeyMissing,
        Self::KeyMalformed,
        Self::FingerprintMismatch,
        Self::InFlight,
        Self::OutcomeUnknown,
        Self::AttemptsExhausted,
        Self::StoreUnavailable,
        Self::RolledBack,
        Self::CommitUnknown,
        Self::Overloaded,
        Self::Misconfigured,
        Self::RecordUnreadable,
        Self::BodyTooLarge,
        Self::BodyUnreadable,
        Self::BodyNotCanonical,
        Self::ScopeRefused,
        Self::HandlerFailed,
        Self::AnswerNotKept,
    ];

    /// The code as it appears in a body, such as `in-flight`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// A short summary of the kind of problem.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.texts().1
    }

    /// What the client can do about it.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        self.texts().2
    }

    /// The absolute URI that names this kind of problem and leads to its documentation, where the
    /// [`ErrorFormat`] has no other [base](ErrorFormat::type_base).
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("{TYPE_BASE}{self:?}")
    }

    /// The status, where no [`Profile`](crate::Profile) says otherwise.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::KeyMissing
            | Self::KeyMalformed
            | Self::BodyUnreadable
            | Self::BodyNotCanonical
            | Self::ScopeRefused => StatusCode::BAD_REQUEST,
            Self::FingerprintMismatch
            | Self::InFlight
            | Self::OutcomeUnknown
            | Self::AttemptsExhausted => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Misconfigured
            | Self::RecordUnreadable
            | Self::HandlerFailed
            | Self::AnswerNotKept => StatusCode::INTERNAL_SERVER_ERROR,
            Self::StoreUnavailable | Self::RolledBack | Self::CommitUnknown | Self::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    const fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::KeyMissing => (
                "key-missing",
                "An idempotency key is required",
                "Draw one key per intent and send it with every repeat of the request.",
            ),
            Self::KeyMalformed => (
                "key-malformed",
                "The idempotency key is malformed",
                "Send one key of 1 to 255 characters, once.",
            ),
            Self::FingerprintMismatch => (
                "fingerprint-mismatch",
                "The idempotency key was used for another request",
                "Draw a new key for a new intent; repeat a request unchanged.",
            ),
            Self::InFlight => (
                "in-flight",
                "A request with this idempotency key is still being processed",
                "Send the same request with the same key again, after the time that this answer gives.",
            ),
            Self::OutcomeUnknown => (
                "outcome-unknown",
                "The outcome of this request is unknown",
                "It was interrupted and is not run again before somebody has looked into it.",
            ),
            Self::AttemptsExhausted => (
                "attempts-exhausted",
                "This request was attempted too often",
                "It is not run again under this key.",
            ),
            Self::StoreUnavailable => (
                "store-unavailable",
                "Duplicates cannot be told from new requests right now",
                "The request did not run. Send it again with the same key.",
            ),
            Self::RolledBack => (
                "rolled-back",
                "The request was rolled back",
                "What it did was rolled back: nothing happened. Send it again with the same key.",
            ),
            Self::CommitUnknown => (
                "commit-unknown",
                "It is not known yet whether the request went through",
                "Send the request again with the same key: the repeat finds out.",
            ),
            Self::Overloaded => (
                "overloaded",
                "Too many requests of clients that are gone are still being processed",
                "The request did not run. Send it again with the same key.",
            ),
            Self::Misconfigured => (
                "misconfigured",
                "The service is set up wrong",
                "The request did not run. The service's log says what is wrong.",
            ),
            Self::RecordUnreadable => (
                "record-unreadable",
                "The record of this idempotency key cannot be read",
                "The request did not run. Somebody has to look into it.",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                "The body is too large for a request with an idempotency key",
                "The request did not run.",
            ),
            Self::BodyUnreadable => (
                "body-unreadable",
                "The body did not arrive whole",
                "The request did not run. Send it again with the same key.",
            ),
            Self::BodyNotCanonical => (
                "body-not-canonical",
                "The body is ambiguous",
                "Send valid JSON with each member once and numbers that a double holds exactly, or a \
                 form with all its characters escaped.",
            ),
            Self::ScopeRefused => (
                "scope-refused",
                "The request does not tell whose it is",
                "The request did not run.",
            ),
            Self::HandlerFailed => (
                "handler-failed",
                "The request broke down half-way",
                "Its effect may have happened. It is not run again under this key.",
            ),
            Self::AnswerNotKept => (
                "answer-not-kept",
                "The answer to this request was not kept",
                "The request ran. It is not run again under this key.",
            ),
        }
    }
}

/// Why the handler does not answer a request. A [`Profile`](crate::Profile)'s [`ErrorFormat`] makes
/// the response from it.
///
/// ```
/// use std::time::Duration;
/// use idem_http::problem::{Code, Problem};
///
/// let response = Problem::new(Code::InFlight)
///     .retry_after(Duration::from_millis(1200))
///     .into_response();
/// assert_eq!(response.status(), 409);
/// assert_eq!(response.headers()["retry-after"], "2");
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of problem.
    pub code: Code,
    /// The status of the response.
    pub status: StatusCode,
    /// What is special about this occurrence, for a person. It never contains a key or a payload.
    pub detail: Cow<'static, str>,
    /// Seconds after which a client may send the request again; `None` where that does not help.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem with its code's own status and detail.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            status: code.status(),
            detail: Cow::Borrowed(code.detail()),
            retry_after: None,
        }
    }

    /// Answers with this status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets what is special about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Asks the client to send the request again after this time: whole seconds, rounded up, at
    /// least one.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        let begun = u64::from(after.subsec_nanos() > 0);
        let whole = after.as_secs().saturating_add(begun);
        self.retry_after = Some(whole.max(1));
        self
    }

    /// The body as problem details: `type`, `title`, `status`, `detail` (RFC 9457, §3.1) and `code`.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        ErrorFormat::problem_json().body(self)
    }

    /// The response as problem details. [`ErrorFormat::response`] writes it in other formats.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        ErrorFormat::problem_json().response(&self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::header;

    use super::*;

    #[test]
    fn every_time_to_come_back_is_one() {
        for (after, seconds) in [
            (Duration::ZERO, "1"),
            (Duration::from_millis(1001), "2"),
            (Duration::MAX, "18446744073709551615"),
        ] {
            let response = Problem::new(Code::InFlight)
                .retry_after(after)
                .into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn a_problem_has_all_members_of_rfc_9457_and_a_code() {
        let response = Problem::new(Code::FingerprintMismatch)
            .status(StatusCode::UNPROCESSABLE_ENTITY)
            .into_response();
        assert_eq!(response.status(), 422);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            body["type"],
            "https://docs.rs/idem-http/latest/idem_http/problem/enum.Code.html#variant.FingerprintMismatch"
        );
        assert_eq!(body["status"], 422);
        assert_eq!(body["code"], "fingerprint-mismatch");
        assert!(body["title"].is_string() && body["detail"].is_string());
    }

    #[test]
    fn retry_after_is_whole_seconds_and_at_least_one() {
        let after = |ms| {
            Problem::new(Code::InFlight)
                .retry_after(Duration::from_millis(ms))
                .retry_after
        };
        assert_eq!(after(0), Some(1));
        assert_eq!(after(1), Some(1));
        assert_eq!(after(1000), Some(1));
        assert_eq!(after(1001), Some(2));
    }

    /// A code is the variant's name in kebab case, so neither can be renamed alone.
    #[test]
    fn codes_are_distinct_and_follow_their_names() {
        let kebab = |code: Code| {
            format!("{code:?}")
                .chars()
                .fold(String::new(), |mut text, c| {
                    if c.is_uppercase() && !text.is_empty() {
                        text.push('-');
                    }
                    text.extend(c.to_lowercase());
                    text
                })
        };
        for code in Code::ALL {
            assert_eq!(code.as_str(), kebab(code));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
        let distinct: HashSet<_> = Code::ALL.map(Code::as_str).into();
        assert_eq!(distinct.len(), Code::ALL.len());
    }
}
