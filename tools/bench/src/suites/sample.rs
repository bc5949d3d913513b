//! What suites write: keys as clients draw them, the answer to one request, and its records.

use anyhow::Result;
use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Version},
};
use serde::{Deserialize, Serialize};

/// The answer of the work, as a small API gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Receipt {
    charge: u64,
    amount: u64,
    captured: bool,
}

pub(super) const RECEIPT: Receipt = Receipt {
    charge: 4_711_081_500_017,
    amount: 500,
    captured: true,
};

pub(super) fn key(scope: &str, index: usize) -> Result<RecordKey> {
    let key = IdempotencyKey::new(format!("8e03978e-40d5-43dd-bc93-{index:012x}"))?;
    Ok(Scope::new(scope)?.key(&key))
}

pub(super) fn fingerprint() -> Fingerprint {
    Fingerprint::of("bench/v1", b"500 usd")
}

pub(super) fn record(revision: u64, state: State) -> Record {
    Record {
        fingerprint: fingerprint(),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision,
        },
        created_at: Timestamp::now(),
        state,
    }
}
