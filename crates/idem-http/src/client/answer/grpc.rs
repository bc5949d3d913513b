//! Reads a gRPC answer, which says in `grpc-status` how the call ended, and not in its HTTP status.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use super::{Error, Reading, RetryRules};
use crate::client::doubt::Evidence;

/// How a gRPC call ended.
pub(super) struct Ended<'a> {
    /// `None` where no status came: the answer broke off, or is longer than what was read.
    code: Option<&'a str>,
    /// The code of a problem of an idempotency layer. A handler's own status never has it.
    problem: Option<&'a str>,
    /// `grpc-retry-pushback-ms` (gRFC A6). A negative number asks not to come back.
    pushback: Option<i64>,
}

impl<'a> Ended<'a> {
    /// `None` for an answer that is not gRPC, such as a proxy's.
    pub(super) fn read(status: StatusCode, headers: &'a HeaderMap) -> Option<Self> {
        if status != StatusCode::OK || !is_grpc(headers) {
            return None;
        }
        let text = |name: &str| headers.get(name)?.to_str().ok();
        Some(Self {
            code: text("grpc-status"),
            problem: text("idempotency-problem"),
            pushback: text("grpc-retry-pushback-ms").and_then(|ms| ms.parse().ok()),
        })
    }

    pub(super) fn reading(&self, rules: &RetryRules, is_replayed: bool) -> Reading {
        let (evidence, again) = match self.code {
            // What is read of it goes out as it came, and its caller sees how it ends.
            None | Some("0") => (Evidence::Settled, false),
            Some(code) => self.error(code, rules, is_replayed).judge(),
        };
        let asked = self.pushback.and_then(|ms| u64::try_from(ms).ok());
        Reading {
            evidence,
            again: again && self.pushback.is_none_or(|ms| ms >= 0),
            retry_after: asked.map(Duration::from_millis),
        }
    }

    fn error(&self, code: &str, rules: &RetryRules, is_replayed: bool) -> Error {
        match self.problem {
            _ if is_replayed => Error::Replayed,
            Some("store-unavailable") if rules.trust_certificates => Error::NothingRan,
            Some("in-flight") => Error::InFlight,
            Some("outcome-unknown" | "attempts-exhausted") => Error::Vanished,
            Some(_) if self.pushback.is_some_and(|ms| ms >= 0) => Error::Trouble,
            Some(_) => Error::Refused,
            None if is_trouble(code) => Error::Trouble,
            None => Error::Refused,
        }
    }
}

/// What another sending may not get: `CANCELLED`, `UNKNOWN`, `DEADLINE_EXCEEDED`,
/// `RESOURCE_EXHAUSTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`, and what is not a code. A handler's
/// own status of these is stored, and comes back as a replay.
fn is_trouble(code: &str) -> bool {
    !matches!(
        code,
        "3" | "5" | "6" | "7" | "9" | "10" | "11" | "12" | "16"
    )
}

/// Whether these are the headers of a gRPC call or answer.
pub(in crate::client) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
