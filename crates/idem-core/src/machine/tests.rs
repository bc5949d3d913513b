//! The transition table, line by line, and random histories against the promises.

mod histories;
mod table;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{ClaimToken, Fingerprint, Record, Stored, Timestamp};

const LEASE: Duration = Duration::from_secs(30);

fn request(token: u8, print: u8) -> Request {
    Request {
        fingerprint: Fingerprint::from_bytes([print; 32]),
        token: ClaimToken::from_bytes([token; 16]),
        sent: 0,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        lease: LEASE,
        lapsed: LapsedRule::Reclaim,
        max_attempts: None,
    }
}

fn stored(record: Record, age: Duration) -> Stored {
    Stored {
        record,
        age: Some(age),
        remaining: None,
    }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
