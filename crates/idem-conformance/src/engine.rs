//! Engines over the store under test, and requests for them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use idem_core::{
    Claim, Execution, Fingerprint, Idempotency, Policy, RecordKey, Recording,
    error::Superseded,
    store::{Store, Watch},
};

use crate::{
    Harness,
    call::{PATIENCE, scaled, why},
};

/// Long leases and patience, so that a slow machine changes nothing.
pub(crate) fn patient(harness: &dyn Harness) -> Policy {
    Policy::default()
        .lease(Duration::from_secs(300))
        .retention(Duration::from_secs(3600))
        .retry_budget(scaled(harness, PATIENCE))
        .call_timeout(scaled(harness, Duration::from_secs(10)))
}

/// An engine over a handle.
pub(crate) fn over(store: Arc<dyn Store>, policy: Policy) -> Idempotency {
    build(Idempotency::builder(store).policy(policy))
}

/// An engine over a handle that listens to the store's notifications.
pub(crate) fn watching(
    store: Arc<dyn Store>,
    watch: Arc<dyn Watch>,
    policy: Policy,
) -> Idempotency {
    build(Idempotency::builder(store).watch(watch).policy(policy))
}

fn build(builder: idem_core::Builder) -> Idempotency {
    let builder = builder.allow_slow_calls();
    builder.build().expect("the suite's policies can work")
}

/// An engine over a fresh handle of the harness, as another process has one.
pub(crate) async fn fresh(harness: &dyn Harness, policy: Policy) -> Idempotency {
    over(harness.store().await, policy)
}

/// The request that the cases send.
pub(crate) fn request() -> Fingerprint {
    Fingerprint::of("conformance/v1", b"pay 500 usd")
}

/// Another request.
pub(crate) fn other_request() -> Fingerprint {
    Fingerprint::of("conformance/v1", b"pay 5000 usd")
}

/// Claims for the usual request.
pub(crate) async fn claim(engine: &Idempotency, key: &RecordKey) -> Claim {
    match engine.claim(key, &request()).await {
        Ok(claim) => claim,
        Err(error) => panic!("a claim failed without a reason: {}", why(&error)),
    }
}

/// Claims a key that is free.
pub(crate) async fn acquire(engine: &Idempotency, key: &RecordKey) -> Execution {
    match claim(engine, key).await {
        Claim::Acquired(execution) => execution,
        other => panic!("the key is free, but the claim is told {other:?}"),
    }
}

/// Asserts that an ending is stored: nothing stood in its way.
#[track_caller]
pub(crate) fn expect_stored(told: Result<Recording, Superseded>) {
    match told {
        Ok(Recording::Stored) => {}
        other => panic!("G3: nobody else owns the key, but its holder is told {other:?}"),
    }
}

/// Asserts that an ending is refused: another execution owns the key.
#[track_caller]
pub(crate) fn expect_superseded(told: Result<Recording, Superseded>) {
    match told {
        Err(Superseded) => {}
        other => panic!("G3: the execution is superseded, but its holder is told {other:?}"),
    }
}

/// Claims a key that is ended, and asserts what is replayed.
pub(crate) async fn expect_replay(engine: &Idempotency, key: &RecordKey, payload: &[u8]) {
    match claim(engine, key).await {
        Claim::Replay(replayed) => assert!(
            replayed == Bytes::copy_from_slice(payload),
            "G2: the replay is the stored answer, byte for byte"
        ),
        other => panic!("G2: the key is completed, but the claim is told {other:?}"),
    }
}
