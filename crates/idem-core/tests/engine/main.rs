//! The engine over a store whose faults are scripted, on virtual time.

#![expect(clippy::disallowed_methods, reason = "a test measures virtual time")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behind;
mod claiming;
mod counted;
mod detached;
mod durations;
mod ending;
mod executing;
mod flat;
mod leases;
mod outage;
mod pending;
mod probing;
mod renewing;
mod resolving;
mod shown;
mod store;
mod waiting;
mod waiting_alike;

use std::time::Duration;

use idem_core::{
    Claim, Execution, Fingerprint, Idempotency, IdempotencyKey, Policy, RecordKey, Scope,
};
use store::ScriptedStore;

const LEASE: Duration = Duration::from_secs(30);
const RETENTION: Duration = Duration::from_secs(24 * 3600);

fn key(name: &str) -> RecordKey {
    Scope::global().key(&IdempotencyKey::new(name).unwrap())
}

fn print(request: &str) -> Fingerprint {
    Fingerprint::of("test/v1", request.as_bytes())
}

fn engine(store: &ScriptedStore) -> Idempotency {
    with(store, Policy::default())
}

fn with(store: &ScriptedStore, policy: Policy) -> Idempotency {
    Idempotency::builder(store.clone())
        .policy(policy)
        .build()
        .unwrap()
}

async fn acquire(idem: &Idempotency, name: &str) -> Execution {
    match idem.claim(&key(name), &print("a")).await.unwrap() {
        Claim::Acquired(execution) => execution,
        other => panic!("expected to acquire, got {other:?}"),
    }
}

async fn replayed(idem: &Idempotency, name: &str) -> idem_core::Bytes {
    match idem.claim(&key(name), &print("a")).await.unwrap() {
        Claim::Replay(payload) => payload,
        other => panic!("expected a replay, got {other:?}"),
    }
}
