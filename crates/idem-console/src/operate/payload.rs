//! What a stored answer says: an HTTP answer, a typed value, or bytes.

use idem_core::{
    Bytes,
    spi::Printable,
    store::{Record, State},
};
use idem_http::{StoredBody, StoredResponse};
use serde_json::{Value, json};

use super::words;

/// A payload or checkpoint, decoded as far as it can be.
#[derive(Debug)]
pub enum Payload {
    /// An HTTP answer.
    Http(StoredResponse),
    /// A typed value.
    Json(Value),
    /// Anything else.
    Bytes(Bytes),
}

/// The payload of an ending, or the checkpoint of a record that has none yet.
#[must_use]
pub fn payload_of(record: &Record) -> Option<&Bytes> {
    match &record.state {
        State::Completed { payload } | State::Failed { payload } => Some(payload),
        State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => checkpoint.as_ref(),
        State::Released => None,
    }
}

impl Payload {
    /// Decodes it as far as it can be.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Self {
        if let Ok(answer) = StoredResponse::decode(bytes) {
            return Self::Http(answer);
        }
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::Json(value),
            Err(_) => Self::Bytes(bytes.clone()),
        }
    }

    /// Everything.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Http(answer) => {
                let mut value = json!({
                    "kind": "http",
                    "status": answer.status().as_u16(),
                    "headers": headers(answer),
                });
                match body(answer) {
                    None => value["body_omitted"] = true.into(),
                    Some(body) => match std::str::from_utf8(body) {
                        Ok(text) => value["body"] = text.into(),
                        Err(_) => value["body_hex"] = words::hex(body).into(),
                    },
                }
                value
            }
            Self::Json(value) => json!({ "kind": "json", "value": value }),
            Self::Bytes(bytes) => json!({ "kind": "bytes", "hex": words::hex(bytes) }),
        }
    }

    /// Its kind and size: nothing of what it says.
    #[must_use]
    pub fn redacted(&self, bytes: usize) -> Value {
        match self {
            Self::Http(answer) => json!({
                "kind": "http",
                "status": answer.status().as_u16(),
                "headers": headers(answer).iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
                "body_omitted": body(answer).is_none(),
                "bytes": bytes,
                "redacted": true,
            }),
            Self::Json(_) => json!({ "kind": "json", "bytes": bytes, "redacted": true }),
            Self::Bytes(_) => json!({ "kind": "bytes", "bytes": bytes, "redacted": true }),
        }
    }

    /// Everything, in lines.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Http(answer) => {
                let mut lines = vec![format!("  HTTP {}", answer.status())];
                for (name, value) in headers(answer) {
                    lines.push(format!("  {name}: {}", Printable(&value)));
                }
                lines.push(String::new());
                lines.push(match body(answer) {
                    None => "  (the body is not kept)".to_owned(),
                    Some(body) => text_of(body),
                });
                lines.join("\n")
            }
            Self::Json(value) => {
                let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
                printable_lines(&pretty, "  ")
            }
            Self::Bytes(bytes) => text_of(bytes),
        }
    }

    /// A line without what it says.
    #[must_use]
    pub fn redacted_text(&self, bytes: usize) -> String {
        let size = words::size(bytes as u64);
        let what = match self {
            Self::Http(answer) => match body(answer) {
                Some(_) => format!("HTTP {}, {size}", answer.status()),
                None => format!("HTTP {}, body not kept", answer.status()),
            },
            Self::Json(_) => format!("JSON, {size}"),
            Self::Bytes(_) => size,
        };
        format!("{what} (--payload shows it)")
    }
}

fn body(answer: &StoredResponse) -> Option<&Bytes> {
    match answer.body() {
        StoredBody::Kept(body) => Some(body),
        StoredBody::Omitted => None,
    }
}

fn headers(answer: &StoredResponse) -> Vec<(String, String)> {
    let mark = http::HeaderName::from_static("x-idem-mark");
    let replay = answer.clone().into_replay(mark.clone(), mark.clone());
    let lines = replay.headers().iter().filter(|(name, _)| **name != mark);
    lines
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect()
}

fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => printable_lines(text, "  "),
        Err(_) => format!("  {}", words::hex(bytes)),
    }
}

/// Line by line, without anything that a terminal would obey.
fn printable_lines(text: &str, indent: &str) -> String {
    let lines = text
        .lines()
        .map(|line| format!("{indent}{}", Printable(line)));
    lines.collect::<Vec<_>>().join("\n")
}
