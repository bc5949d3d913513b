//! Which answers are worth sending again for, and when.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::{Code, IDEMPOTENT_REPLAYED};

/// Whether another sending may get another answer. A stored answer never changes.
pub(super) fn is_retryable(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    if headers.contains_key(IDEMPOTENT_REPLAYED) {
        return false;
    }
    match status {
        StatusCode::CONFLICT => is_in_flight(headers, body),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        status => status.is_server_error(),
    }
}

/// Whether the request may have been run. The others were turned away before.
pub(super) fn may_have_run(status: StatusCode) -> bool {
    status == StatusCode::CONFLICT
        || status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE
}

/// A 409 says `in-flight` by its code; from a server without codes, by `Retry-After`, which a
/// mismatch never has.
fn is_in_flight(headers: &HeaderMap, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Problem<'a> {
        code: &'a str,
    }
    match serde_json::from_slice::<Problem<'_>>(body) {
        Ok(problem) => problem.code == Code::InFlight.as_str(),
        Err(_) => headers.contains_key(header::RETRY_AFTER),
    }
}

/// `Retry-After` (RFC 9110, §10.2.3): seconds, or a date that is measured against the answer's own
/// `Date`, so that the client's clock does not matter.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let (then, now) = (
        httpdate::parse_http_date(text),
        httpdate::parse_http_date(date),
    );
    Some(then.ok()?.duration_since(now.ok()?).unwrap_or_default())
}
