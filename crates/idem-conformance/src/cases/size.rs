//! S7, S9: what is large comes back whole, or is refused.

use idem_core::store::{State, StoreError, StoreErrorKind};

use super::fidelity::expect_fidelity;
use crate::{
    Harness, Skipped, Verdict,
    call::{expect_record, look, put, record_at, remove, replace, why},
    sample::{self, Keys, LONG},
};

const LARGEST: usize = 16 << 20;
const KIB: usize = 1 << 10;

/// **S7.** A payload of 16 MiB, or as long as the store takes, comes back whole.
pub async fn s7_a_payload_of_16_mib_comes_back_whole(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    let done = sample::completed(&claim, mixed(most(harness)));
    replace(&*store, &key, claim.version, &done, LONG).await;
    let found = record_at(&*store, &key).await;
    // Not `assert_eq!`, which would print 32 MiB.
    assert!(found.as_ref() == Some(&done), "S7: it comes back whole");
    remove(&*store, &key, done.version).await;
    Ok(())
}

/// **S7.** Answers, failures and checkpoints beyond the lengths that columns and messages often end
/// at come back whole, all alike.
pub async fn s7_every_payload_is_as_long_as_it_was(harness: &dyn Harness) -> Verdict {
    let mut records = Vec::new();
    for length in [255, 256, 4 * KIB, 8 * KIB, 64 * KIB - 1, 64 * KIB, 1 << 20] {
        let payload = mixed((length + 1).min(most(harness)));
        let states = [
            State::InFlight {
                lease: LONG,
                checkpoint: Some(payload.clone().into()),
            },
            State::Retryable {
                checkpoint: Some(payload.clone().into()),
            },
            State::Completed {
                payload: payload.clone().into(),
            },
            State::Failed {
                payload: payload.into(),
            },
        ];
        records.extend(states.map(sample::record));
    }
    expect_fidelity(harness, records).await
}

/// **S9.** A payload over the store's limit is refused with `TooLarge`, by a create as by an update,
/// and nothing of it is written.
pub async fn s9_a_payload_over_the_limit_is_too_large(harness: &dyn Harness) -> Verdict {
    let limit = harness.payload_limit();
    let limit = limit.ok_or_else(|| Skipped::because("the harness declares no payload limit"))?;
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let over = mixed(limit + 1);
    for state in [
        State::Completed {
            payload: over.clone().into(),
        },
        State::Failed {
            payload: over.clone().into(),
        },
        State::Retryable {
            checkpoint: Some(over.into()),
        },
    ] {
        let (absent, there) = (keys.random(), keys.random());
        let record = sample::record(state.clone());
        expect_too_large("create", store.create(&absent, &record, LONG).await);
        let nothing = look(&*store, &absent).await.is_none();
        assert!(nothing, "S9: too large means not applied");

        let claim = sample::claim();
        put(&*store, &there, &claim, LONG).await;
        let next = sample::next(&claim, state);
        let updated = store.update(&there, claim.version, &next, LONG).await;
        expect_too_large("update", updated);
        expect_record(&*store, &there, &claim, "S9: too large means not applied").await;
        // What its holder does then: end it without the payload.
        let short = sample::completed(&claim, "not kept");
        replace(&*store, &there, claim.version, &short, LONG).await;
    }
    Ok(())
}

fn most(harness: &dyn Harness) -> usize {
    harness.payload_limit().unwrap_or(LARGEST).min(LARGEST)
}

#[track_caller]
fn expect_too_large<T: std::fmt::Debug>(what: &str, result: Result<T, StoreError>) {
    match result {
        Err(error) => assert_eq!(
            error.kind(),
            StoreErrorKind::TooLarge,
            "S9: a {what} over the limit is `TooLarge`, not: {}",
            why(&error)
        ),
        Ok(answer) => panic!("S9: a {what} over the limit is `TooLarge`, not {answer:?}"),
    }
}

/// Bytes that are neither periodic at a block's length nor compressible to nothing.
fn mixed(length: usize) -> Vec<u8> {
    let mut mixed = 0x9e37_79b9_u32;
    let mut next = || {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 17;
        mixed ^= mixed << 5;
        mixed.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
