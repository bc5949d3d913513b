//! Reads an answer: what it proves about its sending, and whether another may fare better.

mod grpc;

#[cfg(any(feature = "client-tower", feature = "reqwest"))]
pub(super) use grpc::is_grpc;

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::Value;

use super::{RetryRules, doubt::Evidence};
use crate::{Code, problem::PROBLEM_JSON};

/// The title of the draft's example of an in-flight 409 (§2.7). Servers that follow the draft send
/// it in a problem, or as plain text. The example is not valid JSON, so it is searched for as text.
const DRAFT_TITLE: &[u8] = b"A request is outstanding for this Idempotency-Key";

const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");

/// What the client makes of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) evidence: Evidence,
    /// Whether another sending may get another answer.
    pub(super) again: bool,
    /// How long the server asks to wait before.
    pub(super) retry_after: Option<Duration>,
}

impl Reading {
    /// For a sending without an answer.
    pub(super) fn unanswered(evidence: Evidence) -> Self {
        Self {
            evidence,
            again: true,
            retry_after: None,
        }
    }

    pub(super) fn of(
        rules: &RetryRules,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        if let Some(ended) = grpc::Ended::read(status, headers) {
            return ended.reading(rules, is_replayed(rules, headers));
        }
        let (evidence, again) = match status.is_success() {
            true => (Evidence::Settled, false),
            false => Error::read(rules, status, headers, body).judge(),
        };
        let (evidence, again) = match (evidence, should_retry(headers)) {
            (Evidence::Settled, _) | (_, None) => (evidence, again),
            (Evidence::Refused, Some(true)) => (Evidence::MayHaveRun, true),
            (_, Some(again)) => (evidence, again),
        };
        Self {
            evidence,
            again,
            retry_after: retry_after(headers),
        }
    }
}

/// The kinds of answer that are not a success.
enum Error {
    /// The layer certifies that this sending ran nothing.
    NothingRan,
    InFlight,
    /// A stored answer.
    Replayed,
    /// It ran or may have run, and asking again does not help.
    Vanished,
    /// The server, or something before it, is in trouble.
    Trouble,
    Refused,
}

impl Error {
    fn read(rules: &RetryRules, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let code = ["/code", "/error/code"]
            .into_iter()
            .find_map(|at| json.pointer(at)?.as_str());
        let is = |known: Code| code == Some(known.as_str());
        let replayed = is_replayed(rules, headers);
        if is_in_flight(rules, status, headers, body, code) {
            return Self::InFlight;
        }
        // A replay tells of an earlier sending, so it certifies nothing about this one; and a
        // transient problem that some server stored is not the outcome.
        match code {
            _ if is(Code::StoreUnavailable) && is_certified(rules, headers, &json) && !replayed => {
                Self::NothingRan
            }
            _ if is(Code::StoreUnavailable) => Self::Trouble,
            Some("rolled-back" | "commit-unknown") => Self::Trouble,
            _ if replayed => Self::Replayed,
            _ if is(Code::OutcomeUnknown) || is(Code::AttemptsExhausted) => Self::Vanished,
            _ if is_trouble(status) => Self::Trouble,
            _ => Self::Refused,
        }
    }

    /// What it proves, and whether to send again.
    fn judge(self) -> (Evidence, bool) {
        match self {
            Self::NothingRan => (Evidence::NothingRan, true),
            Self::InFlight | Self::Trouble => (Evidence::MayHaveRun, true),
            Self::Vanished => (Evidence::MayHaveRun, false),
            Self::Replayed => (Evidence::Settled, false),
            Self::Refused => (Evidence::Refused, false),
        }
    }
}

fn is_replayed(rules: &RetryRules, headers: &HeaderMap) -> bool {
    let (name, mark) = &rules.replay_mark;
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(mark.as_bytes())
    })
}

fn is_in_flight(
    rules: &RetryRules,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    code: Option<&str>,
) -> bool {
    if let Some(code) = code
        && rules.in_flight_codes.iter().any(|known| known == code)
    {
        return true;
    }
    let bare = code.is_none() && rules.bare_conflict_is_in_flight;
    status == StatusCode::CONFLICT
        && (bare
            || headers.contains_key(header::RETRY_AFTER)
            || body.windows(DRAFT_TITLE.len()).any(|at| at == DRAFT_TITLE))
}

/// Whether this is a problem of an idempotency layer, and not of something else that has the same
/// code.
fn is_certified(rules: &RetryRules, headers: &HeaderMap, json: &Value) -> bool {
    let is_problem = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|essence| {
            essence
                .trim_ascii()
                .eq_ignore_ascii_case(PROBLEM_JSON.as_bytes())
        })
    });
    let uri = json.get("type").and_then(Value::as_str);
    rules.trust_certificates
        && is_problem
        && uri.is_some_and(|uri| rules.nothing_ran_types.iter().any(|known| known == uri))
}

/// Statuses that another sending may not get. A status over 599 counts as 5xx (RFC 9110, §15).
fn is_trouble(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        status => status.as_u16() >= 500,
    }
}

/// `Stripe-Should-Retry`, which decides over the status.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get(STRIPE_SHOULD_RETRY)?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// `Retry-After` (RFC 9110, §10.2.3): seconds, or a date that is measured against the answer's own
/// `Date`, so that the client's clock does not matter.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let (then, now) = (
        httpdate::parse_http_date(text),
        httpdate::parse_http_date(date),
    );
    Some(then.ok()?.duration_since(now.ok()?).unwrap_or_default())
}
