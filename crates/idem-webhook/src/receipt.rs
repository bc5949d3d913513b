//! [`Receipt`]: what became of a verified delivery.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// What became of a verified delivery, and what its sender is told.
///
/// A sender takes 2xx for *yours now*, and delivers again after anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Receipt {
    /// 202: the event is stored, and is worked off in the background.
    Taken {
        /// Whether an earlier delivery brought it.
        repeat: bool,
    },
    /// 200: the event was worked off.
    Done {
        /// Whether an earlier delivery brought it.
        repeat: bool,
    },
    /// 409: an earlier delivery is being worked off, and this sender has no promise yet that the
    /// event is stored. It is answered at once.
    InWork {
        /// When to come back, at the latest.
        retry_after: Duration,
    },
    /// 409: the id belongs to another event. For schemes whose signature leaves the id out.
    OtherEvent,
    /// 500: the handler failed. The next delivery runs it again.
    Failed,
    /// 500: the event will not run again by itself: its handler panicked, it had all its attempts,
    /// or an attempt vanished under [`OnAbandoned::Halt`](idem_core::OnAbandoned::Halt).
    GivenUp,
    /// 503: too many events are being worked off; this one was not taken.
    Overloaded,
    /// 503: the store is out of reach; the event was not taken.
    StoreUnavailable,
    /// 500: the store's configuration or the record is broken, as the log says; the event was not
    /// taken.
    StoreBroken,
}

impl Receipt {
    /// The status that the sender is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.parts().0
    }

    /// The text that names the kind of receipt; it never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.parts().1
    }

    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Taken { .. } => (StatusCode::ACCEPTED, "taken", ""),
            Self::Done { .. } => (StatusCode::OK, "done", ""),
            Self::InWork { .. } => (
                StatusCode::CONFLICT,
                "in-work",
                "an earlier delivery of this event is being worked off",
            ),
            Self::OtherEvent => (
                StatusCode::CONFLICT,
                "other-event",
                "this id belongs to another event",
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed",
                "the event could not be worked off; deliver it again",
            ),
            Self::GivenUp => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "given-up",
                "the event could not be worked off, and does not run again by itself",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many events are being worked off; deliver it again",
            ),
            Self::StoreUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                "the event was not taken; deliver it again",
            ),
            Self::StoreBroken => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "store-broken",
                "the event was not taken",
            ),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::InWork { retry_after } => Some(*retry_after),
            Self::Overloaded | Self::StoreUnavailable => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The answer: empty for 2xx, else `application/problem+json` with the code.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        let (status, code, detail) = self.parts();
        answer(status, code, detail, self.retry_after())
    }
}

/// An answer of this crate's.
pub(crate) fn answer(
    status: StatusCode,
    code: &'static str,
    detail: &str,
    retry_after: Option<Duration>,
) -> Response<Bytes> {
    let mut response = Response::default();
    *response.status_mut() = status;
    if status.is_success() {
        return response;
    }
    let title = status.canonical_reason().unwrap_or_default();
    let problem = serde_json::json!({
        "title": title, "status": status.as_u16(), "detail": detail, "code": code,
    });
    *response.body_mut() = problem.to_string().into();
    let headers = response.headers_mut();
    let problem_json = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, problem_json);
    if let Some(after) = retry_after {
        let seconds = after.as_secs();
        let seconds = seconds.saturating_add(u64::from(after.subsec_nanos() > 0));
        headers.insert(header::RETRY_AFTER, seconds.max(1).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use idem_conformance::DURATIONS;

    use super::*;

    #[test]
    fn every_time_to_come_back_can_be_told() {
        for retry_after in DURATIONS {
            let response = Receipt::InWork { retry_after }.into_response();
            let told = response.headers()[header::RETRY_AFTER].to_str().ok();
            let told: u64 = told.and_then(|told| told.parse().ok()).unwrap_or(0);
            assert!(told >= retry_after.as_secs().max(1), "{retry_after:?}");
        }
    }
}
