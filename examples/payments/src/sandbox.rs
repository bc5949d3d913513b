//! Trouble on request, as payment sandboxes make it: slow banks, errors after the charge, crashes,
//! answers too big or too long to keep.
//!
//! The order never changes: first the delay, then the charge, then the trouble. So whatever the
//! answer says, the money has moved, which is the worst case for everybody who retries. Where the
//! charge commits together with the answer, it has moved if and only if the answer is final.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::{ledger::Transfer, problem::Problem};

/// Nobody has to wait longer for a slow bank.
const MAX_DELAY_MS: u64 = 10 * 60 * 1000;
/// Nobody needs a bigger answer to see that it is not kept.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;
/// What a streamed answer is cut into.
const CHUNK: usize = 16 * 1024;

/// The `"sandbox"` member of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sandbox {
    /// How long the bank takes before it charges.
    delay_ms: u64,
    /// How long the answer takes after the charge.
    answer_delay_ms: u64,
    /// What to answer with after the charge.
    status: Option<u16>,
    /// Whether to panic after the charge.
    panic: bool,
    /// How big the answer is to be, at least.
    response_bytes: usize,
    /// Whether to send the answer in chunks, without saying how long it is.
    stream: bool,
}

impl Sandbox {
    /// Reads the member; absent or null asks for no trouble.
    pub(crate) fn parse(value: Option<Value>) -> Result<Self, SandboxError> {
        let value = value.unwrap_or(Value::Null);
        let sandbox: Self = match value {
            Value::Null => Self::default(),
            value => serde_json::from_value(value).map_err(SandboxError::Members)?,
        };
        sandbox.check()
    }

    fn check(self) -> Result<Self, SandboxError> {
        if self.delay_ms.max(self.answer_delay_ms) > MAX_DELAY_MS {
            return Err(SandboxError::Delay);
        }
        if self.response_bytes > MAX_RESPONSE_BYTES {
            return Err(SandboxError::ResponseBytes);
        }
        match self.status {
            Some(status) if !(200..=599).contains(&status) => Err(SandboxError::Status(status)),
            _ => Ok(self),
        }
    }

    /// The slow bank.
    pub(crate) async fn delay(&self) {
        tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
    }

    /// The slow way back.
    pub(crate) async fn delay_answer(&self) {
        tokio::time::sleep(Duration::from_millis(self.answer_delay_ms)).await;
    }

    /// The answer to a transfer, or the trouble that was asked for instead.
    ///
    /// # Panics
    /// When asked to.
    pub(crate) fn answer(&self, transfer: &Transfer) -> Response {
        assert!(!self.panic, "the sandbox was asked to panic");
        let status = self.status();
        let mut response = Response::new(self.body(status, transfer));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if is_error(status) {
            headers.insert(header::CONTENT_TYPE, Problem::CONTENT_TYPE);
        } else {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            headers.insert(header::LOCATION, location(transfer));
        }
        response
    }

    fn status(&self) -> StatusCode {
        let status = self.status.unwrap_or(StatusCode::CREATED.as_u16());
        StatusCode::from_u16(status).expect("`check` let no other status in")
    }

    fn body(&self, status: StatusCode, transfer: &Transfer) -> Body {
        if matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            return Body::empty();
        }
        let json = if is_error(status) {
            serde_json::to_vec(&Problem::asked_for(status, &transfer.id))
        } else {
            serde_json::to_vec(transfer)
        };
        let json = json.expect("neither has a map whose keys are not text");
        let json = Bytes::from(padded(json, self.response_bytes));
        if self.stream {
            in_chunks(json)
        } else {
            Body::from(json)
        }
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn location(transfer: &Transfer) -> HeaderValue {
    HeaderValue::try_from(format!("{}/{}", transfer.object.path(), transfer.id))
        .expect("an id is hexadecimal after its prefix")
}

/// Makes a JSON object `target` bytes long, if it is shorter, by one more member.
fn padded(mut object: Vec<u8>, target: usize) -> Vec<u8> {
    const MEMBER: &[u8] = b",\"padding\":\"";
    const END: &[u8] = b"\"}";
    let Some(padding) = target.checked_sub(object.len() - 1 + MEMBER.len() + END.len()) else {
        return object;
    };
    object.pop();
    object.extend_from_slice(MEMBER);
    object.resize(object.len() + padding, b'x');
    object.extend_from_slice(END);
    object
}

/// A body whose length nobody knows before its end.
fn in_chunks(whole: Bytes) -> Body {
    Body::from_stream(stream::unfold(whole, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_to(rest.len().min(CHUNK));
        Some((Ok::<_, Infallible>(chunk), rest))
    }))
}

/// Why a `"sandbox"` member is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("is not understood: {0}")]
    Members(#[source] serde_json::Error),
    #[error("has a delay of more than {MAX_DELAY_MS} ms")]
    Delay,
    #[error("has `response_bytes` of more than {MAX_RESPONSE_BYTES}")]
    ResponseBytes,
    #[error("has the `status` {0}, which is not between 200 and 599")]
    Status(u16),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_misspelt_trigger_is_refused_and_not_ignored() {
        for value in [
            json!({"delay": 5}),
            json!({"delay_ms": -1}),
            json!({"delay_ms": MAX_DELAY_MS + 1}),
            json!({"answer_delay_ms": MAX_DELAY_MS + 1}),
            json!({"status": 199}),
            json!({"status": 600}),
            json!({"status": "500"}),
            json!({"panic": 1}),
            json!({"response_bytes": MAX_RESPONSE_BYTES + 1}),
            json!("panic"),
        ] {
            assert!(Sandbox::parse(Some(value.clone())).is_err(), "{value}");
        }
    }

    #[test]
    fn without_triggers_there_is_no_trouble() {
        for value in [None, Some(json!(null)), Some(json!({}))] {
            assert_eq!(Sandbox::parse(value).unwrap(), Sandbox::default());
        }
    }

    #[test]
    fn a_padded_object_has_the_length_asked_for_and_is_still_json() {
        let padded_to = |target| padded(br#"{"id":"pay_1"}"#.to_vec(), target);
        for target in [27, 28, 1_000_000] {
            let object = padded_to(target);
            assert_eq!(object.len(), target);
            let read: Value = serde_json::from_slice(&object).unwrap();
            assert_eq!(read["id"], "pay_1");
        }
        assert_eq!(padded_to(26), br#"{"id":"pay_1"}"#);
        assert_eq!(padded_to(0), br#"{"id":"pay_1"}"#);
    }
}
