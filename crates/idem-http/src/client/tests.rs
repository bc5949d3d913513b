//! What an intent does, reply by reply.

mod bounds;
mod forms;
mod grpc;
mod replies;
mod resumed;
mod world;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;

/// An answer to hand to an intent.
#[derive(Debug, Clone)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> Reply {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.collect(),
        body: body.as_ref().to_vec(),
    }
}

impl From<crate::Problem> for Reply {
    fn from(problem: crate::Problem) -> Self {
        let (head, body) = problem.into_response().into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.to_vec(),
        }
    }
}

impl Reply {
    fn sent(&self) -> Sent<'_> {
        Sent::Answered {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

fn intent() -> Intent {
    Intent::new(RetryRules::default())
}

/// What an intent makes of a reply, without jitter and without delay.
fn after(intent: &mut Intent, sent: Sent<'_>) -> Next {
    intent.after(sent, Duration::ZERO, 1.0)
}

/// What a new intent makes of an answer.
fn answered(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> Next {
    after(&mut intent(), reply(status, headers, body).sent())
}

/// What an intent makes of an answer after a sending that was lost.
fn answered_in_doubt(reply: &Reply) -> Next {
    let mut intent = intent();
    assert!(is_again(after(&mut intent, Sent::Lost)));
    after(&mut intent, reply.sent())
}

fn is_again(next: Next) -> bool {
    matches!(next, Next::SendAgain(_))
}

fn again(seconds: u64) -> Next {
    Next::SendAgain(Duration::from_secs(seconds))
}

fn unknown(reason: StopReason) -> Next {
    Next::GiveUp(GaveUp::OutcomeUnknown(reason))
}

fn nothing_ran(reason: StopReason) -> Next {
    Next::GiveUp(GaveUp::NothingRan(reason))
}
