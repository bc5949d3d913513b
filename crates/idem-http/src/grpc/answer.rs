//! Answers of trailers alone, and which answers say in their trailers how the call ended.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, response::Parts};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    GRPC_DETAILS, GRPC_MESSAGE, GRPC_PUSHBACK, GRPC_STATUS, GrpcCode, IDEMPOTENCY_PROBLEM,
    details::details,
};
use crate::{Code, Disposition, IDEMPOTENCY_DISPOSITION, Problem};

/// What `grpc-message` escapes: all but visible ASCII and space, and `%` itself.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// A problem in gRPC's words. No message of its body is sent, so that a client's own retry policy can
/// act on it (gRFC A6).
pub(crate) fn problem(problem: &Problem) -> Response<Bytes> {
    let code = GrpcCode::of_problem(problem.code);
    let message = format!("{}. {}", problem.code.title(), problem.detail);
    let mut response = trailers_only(code, &message);
    let headers = response.headers_mut();
    headers.insert(
        IDEMPOTENCY_PROBLEM,
        HeaderValue::from_static(problem.code.as_str()),
    );
    // A negative number asks not to come back.
    let pushback = problem
        .retry_after
        .map_or(HeaderValue::from_static("-1"), |seconds| {
            HeaderValue::from(seconds.saturating_mul(1000).min(i32::MAX as u64))
        });
    headers.insert(GRPC_PUSHBACK, pushback);
    if let Some(details) = details(problem, code, &message) {
        headers.insert(GRPC_DETAILS, details);
    }
    response
}

/// A refusal by an HTTP status alone.
pub(crate) fn bare(status: StatusCode) -> Response<Bytes> {
    let message = status.canonical_reason().unwrap_or_default();
    trailers_only(GrpcCode::of_status(status), message)
}

/// A replay as gRPC has it. HTTP/2 does not need `Trailer`, which clients would take for metadata. In
/// place of an answer whose messages were not kept is a problem: without them, it would say that there
/// were none.
pub(crate) fn replay(
    mut response: Response<Bytes>,
    replayed: &HeaderName,
    omitted: &HeaderName,
) -> Response<Bytes> {
    response.headers_mut().remove(header::TRAILER);
    let is_omitted = response.headers().contains_key(omitted);
    if !is_omitted || GrpcCode::read(response.headers()).is_some() {
        return response;
    }
    let mut instead = problem(&Problem::new(Code::AnswerNotKept));
    for name in [replayed, omitted] {
        if let Some(value) = response.headers_mut().remove(name) {
            instead.headers_mut().insert(name, value);
        }
    }
    instead
}

/// Takes the words of an idempotency layer from a status that a handler handed on.
pub(crate) fn disown(headers: &mut HeaderMap) {
    if headers.remove(IDEMPOTENCY_PROBLEM).is_some() {
        headers.remove(IDEMPOTENCY_DISPOSITION);
        headers.remove(GRPC_PUSHBACK);
    }
}

fn trailers_only(code: GrpcCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code.number())));
    let message = utf8_percent_encode(message, MESSAGE).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

/// Whether it is in the trailers how a call ended, and nobody has said how to record it.
pub(crate) fn is_open(head: &Parts) -> bool {
    head.status == StatusCode::OK
        && GrpcCode::read(&head.headers).is_none()
        && head.extensions.get::<Disposition>().is_none()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

    use super::*;

    #[test]
    fn every_problem_is_an_answer_of_trailers_alone() {
        for code in Code::ALL {
            let response = problem(&Problem::new(code).detail("50 % of π\r\n"));
            assert_eq!(response.status(), 200);
            assert!(response.body().is_empty());
            let headers = response.headers();
            assert_eq!(headers[header::CONTENT_TYPE], "application/grpc");
            assert_eq!(headers[IDEMPOTENCY_PROBLEM], code.as_str());
            assert_eq!(headers[GRPC_PUSHBACK], "-1");
            assert_eq!(GrpcCode::read(headers), Some(GrpcCode::of_problem(code)));
            let message = headers[GRPC_MESSAGE].to_str().unwrap();
            assert!(message.ends_with(". 50 %25 of %CF%80%0D%0A"), "{message}");
        }
    }

    #[test]
    fn the_time_to_come_back_is_in_both_places() {
        let after = Duration::from_secs(300);
        let response = problem(&Problem::new(Code::InFlight).detail("d").retry_after(after));
        let headers = response.headers();
        assert_eq!(headers[GRPC_PUSHBACK], "300000");
        let details = STANDARD_NO_PAD.decode(&headers[GRPC_DETAILS]).unwrap();
        // Any { value: RetryInfo { retry_delay: Duration { seconds: 300 } } }
        assert!(details.ends_with(&[0x12, 0x05, 0x0a, 0x03, 0x08, 0xac, 0x02]));
    }
}
