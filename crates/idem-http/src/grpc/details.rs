//! `google.rpc.Status` with a reason and a time to come back, as bytes.
//!
//! Three messages of strings and small numbers: written by hand, so that no code generator is needed.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use http::HeaderValue;

use super::GrpcCode;
use crate::Problem;

/// Whose reasons these are.
const DOMAIN: &str = "idem";

/// The value of `grpc-status-details-bin`: an `ErrorInfo` whose reason is the problem's code, such as
/// `IN_FLIGHT`, and a `RetryInfo` where it helps to come back.
pub(super) fn details(problem: &Problem, code: GrpcCode, message: &str) -> Option<HeaderValue> {
    let reason = problem.code.as_str().to_ascii_uppercase().replace('-', "_");
    let mut info = Vec::new();
    put_bytes(&mut info, 1, reason.as_bytes());
    put_bytes(&mut info, 2, DOMAIN.as_bytes());

    let mut status = Vec::new();
    put_number(&mut status, 1, u64::from(code.number()));
    put_bytes(&mut status, 2, message.as_bytes());
    put_any(&mut status, "ErrorInfo", &info);
    if let Some(seconds) = problem.retry_after {
        let (mut duration, mut retry) = (Vec::new(), Vec::new());
        put_number(&mut duration, 1, seconds.min(MAX_SECONDS));
        put_bytes(&mut retry, 1, &duration);
        put_any(&mut status, "RetryInfo", &retry);
    }
    HeaderValue::try_from(STANDARD_NO_PAD.encode(status)).ok()
}

/// The longest `google.protobuf.Duration`.
const MAX_SECONDS: u64 = 315_576_000_000;

/// One more `google.protobuf.Any` in the field `details`.
fn put_any(status: &mut Vec<u8>, name: &str, value: &[u8]) {
    let mut any = Vec::new();
    put_bytes(
        &mut any,
        1,
        format!("type.googleapis.com/google.rpc.{name}").as_bytes(),
    );
    put_bytes(&mut any, 2, value);
    put_bytes(status, 3, &any);
}

fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3);
    put_varint(out, number);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
