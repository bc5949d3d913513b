//! Stripe's API v1, as far as idempotency keys go: its errors, and the headers that its clients read.
//!
//! Sources: docs.stripe.com/api/errors, docs.stripe.com/error-low-level, and how the official clients
//! choose the class of an error: by status first, and `idempotency_error` behind a 400.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use idem_core::IdempotencyKey;
use serde::Serialize;

use crate::{Disposition, problem::Code, problem::Problem};

/// A new one for each response.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The `Request-Id` of the response that was stored.
pub(crate) const ORIGINAL_REQUEST: HeaderName = HeaderName::from_static("original-request");

/// Whether sending the request again, with the same key, can bring another answer. Official clients
/// obey it.
pub(crate) const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");

#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'a str,
    code: &'a str,
    message: String,
    doc_url: &'a str,
}

pub(crate) fn error<'a>(problem: &Problem, doc_url: &'a str) -> Envelope<'a> {
    Envelope {
        error: Error {
            r#type: error_type(problem),
            code: match problem.code {
                Code::InFlight => "idempotency_key_in_use",
                other => other.as_str(),
            },
            message: format!("{}. {}", problem.code.title(), problem.detail),
            doc_url,
        },
    }
}

fn error_type(problem: &Problem) -> &'static str {
    match problem.code {
        Code::FingerprintMismatch
        | Code::InFlight
        | Code::OutcomeUnknown
        | Code::AttemptsExhausted => "idempotency_error",
        _ if problem.status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    }
}

/// Marks the response that tells a problem.
pub(crate) fn mark_problem(problem: &Problem, headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(REQUEST_ID, request_id());
    headers.insert(STRIPE_SHOULD_RETRY, flag(problem.retry_after.is_some()));
}

/// Marks a handler's answer before it is stored. What the handler has set stays.
pub(crate) fn mark_first(status: StatusCode, headers: &mut HeaderMap, disposition: Disposition) {
    let id = headers.entry(REQUEST_ID).or_insert_with(request_id).clone();
    headers.insert(ORIGINAL_REQUEST, id);
    let failed = status.is_client_error() || status.is_server_error();
    headers
        .entry(STRIPE_SHOULD_RETRY)
        .or_insert_with(|| flag(failed && disposition == Disposition::Retryable));
}

/// Marks a replay. `Original-Request` is stored with the answer.
pub(crate) fn mark_replay(headers: &mut HeaderMap) {
    headers.insert(REQUEST_ID, request_id());
    headers.insert(STRIPE_SHOULD_RETRY, flag(false));
}

fn flag(set: bool) -> HeaderValue {
    HeaderValue::from_static(if set { "true" } else { "false" })
}

/// `req_` and 16 random hexadecimal digits.
fn request_id() -> HeaderValue {
    let random = IdempotencyKey::random().as_str().replace('-', "");
    // The digits at the end of a version 4 UUID are all random.
    let digits = &random[random.len() - 16..];
    HeaderValue::try_from(format!("req_{digits}")).expect("hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ErrorFormat;

    fn told(problem: &Problem) -> (serde_json::Value, HeaderMap) {
        let (head, body) = ErrorFormat::stripe().response(problem).into_parts();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (body["error"].clone(), head.headers)
    }

    #[test]
    fn problems_have_stripes_types() {
        let of = |code| {
            told(&Problem::new(code)).0["type"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(of(Code::FingerprintMismatch), "idempotency_error");
        assert_eq!(of(Code::InFlight), "idempotency_error");
        assert_eq!(of(Code::KeyMalformed), "invalid_request_error");
        assert_eq!(of(Code::BodyTooLarge), "invalid_request_error");
        assert_eq!(of(Code::StoreUnavailable), "api_error");
        assert_eq!(of(Code::HandlerFailed), "api_error");
    }

    #[test]
    fn only_what_can_end_otherwise_is_to_be_retried() {
        let in_flight = Problem::new(Code::InFlight).retry_after(Duration::from_secs(1));
        let (error, headers) = told(&in_flight);
        assert_eq!(error["code"], "idempotency_key_in_use");
        assert_eq!(headers[STRIPE_SHOULD_RETRY], "true");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        let (error, headers) = told(&Problem::new(Code::FingerprintMismatch));
        assert_eq!(error["code"], "fingerprint-mismatch");
        assert_eq!(headers[STRIPE_SHOULD_RETRY], "false");
    }

    #[test]
    fn a_first_answer_names_itself_and_keeps_what_the_handler_said() {
        let mut headers = HeaderMap::new();
        mark_first(StatusCode::CREATED, &mut headers, Disposition::Final);
        assert_eq!(headers[REQUEST_ID], headers[ORIGINAL_REQUEST]);
        assert_eq!(headers[STRIPE_SHOULD_RETRY], "false");

        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("req_mine"));
        mark_first(
            StatusCode::SERVICE_UNAVAILABLE,
            &mut headers,
            Disposition::Retryable,
        );
        assert_eq!(headers[ORIGINAL_REQUEST], "req_mine");
        assert_eq!(headers[STRIPE_SHOULD_RETRY], "true");
    }

    #[test]
    fn request_ids_differ() {
        let (one, other) = (request_id(), request_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), "req_".len() + 16);
    }
}
