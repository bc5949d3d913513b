//! S7: what was written is read back whole; what cannot be read is an error, and stays.

use std::time::Duration;

use bytes::Bytes;
use idem_core::{
    Fingerprint, Timestamp,
    store::{Record, State, Store, StoreError, StoreErrorKind},
};

use crate::{
    Corrupt, Harness, Verdict,
    call::{expect_record, put, replace},
    case::needs,
    sample::{self, Keys, LAST_STAMP, LONG},
};

/// **S7.** Every state comes back as it was, with every field of the record.
pub async fn s7_every_state_comes_back_whole(harness: &dyn Harness) -> Verdict {
    let every = [
        State::InFlight {
            lease: Duration::from_secs(30),
            checkpoint: None,
        },
        State::InFlight {
            lease: Duration::from_millis(3),
            checkpoint: Some("step 2".into()),
        },
        State::Retryable { checkpoint: None },
        State::Retryable {
            checkpoint: Some("step 2".into()),
        },
        State::Completed {
            payload: "answer".into(),
        },
        State::Failed {
            payload: "answer".into(),
        },
    ];
    expect_fidelity(harness, every.map(sample::record)).await
}

/// **S7.** No checkpoint and an empty checkpoint are two things.
pub async fn s7_no_checkpoint_is_not_an_empty_one(harness: &dyn Harness) -> Verdict {
    let mut records = Vec::new();
    for checkpoint in [None, Some(Bytes::new())] {
        records.push(sample::record(State::InFlight {
            lease: LONG,
            checkpoint: checkpoint.clone(),
        }));
        records.push(sample::record(State::Retryable { checkpoint }));
    }
    expect_fidelity(harness, records).await
}

/// **S7.** Payloads are bytes: empty, zero, all 256 values, no valid text, and those that a hasty
/// reader takes for nothing.
pub async fn s7_payloads_are_bytes(harness: &dyn Harness) -> Verdict {
    let all: Vec<u8> = (0..=255).collect();
    let payloads: [&[u8]; 14] = [
        b"",
        b"\0",
        b"\0\0\0\0",
        b"0",
        b"null",
        b"false",
        b"[]",
        b"{}",
        b"\"\"",
        b"\r\n",
        b"\\x00",
        b"\xff\xfe",
        b"\xc3\x28",
        &all,
    ];
    let mut records = Vec::new();
    for payload in payloads.map(Bytes::copy_from_slice) {
        let checkpoint = Some(payload.clone());
        records.push(sample::record(State::Completed {
            payload: payload.clone(),
        }));
        records.push(sample::record(State::Failed { payload }));
        records.push(sample::record(State::Retryable {
            checkpoint: checkpoint.clone(),
        }));
        records.push(sample::record(State::InFlight {
            lease: LONG,
            checkpoint,
        }));
    }
    expect_fidelity(harness, records).await
}

/// **S7.** Numbers come back at the ends of their ranges: attempts, revisions, leases, stamps,
/// tokens and fingerprints.
pub async fn s7_numbers_come_back_at_the_ends_of_their_ranges(harness: &dyn Harness) -> Verdict {
    let mut records = Vec::new();
    for attempt in [1, i32::MAX as u32, i32::MAX as u32 + 1, u32::MAX] {
        records.push(Record {
            attempt,
            ..sample::claim()
        });
    }
    let top = i64::MAX as u64;
    for revision in [0, 1, top, top + 1, u64::MAX - 1, u64::MAX] {
        let mut record = sample::claim();
        record.version.revision = revision;
        records.push(record);
    }
    for lease in [
        Duration::from_millis(1),
        Duration::from_millis(1234),
        Duration::from_secs(100 * 365 * 24 * 3600),
    ] {
        records.push(sample::record(State::InFlight {
            lease,
            checkpoint: None,
        }));
    }
    for millis in [0, 1, LAST_STAMP] {
        records.push(Record {
            created_at: Timestamp::from_millis(millis),
            ..sample::claim()
        });
    }
    for byte in [0, 0x7f, 0x80, 0xff] {
        let mut record = sample::claim();
        record.fingerprint = Fingerprint::from_bytes([byte; 32]);
        record.version.token = idem_core::store::ClaimToken::from_bytes([byte; 16]);
        records.push(record);
    }
    expect_fidelity(harness, records).await
}

/// **S7.** A record in a format of a newer release is an error to all four operations, and is
/// never overwritten.
pub async fn s7_an_unknown_format_is_refused_and_stays(harness: &dyn Harness) -> Verdict {
    let corrupt = needs(harness.corrupt().await, "way to damage what is stored")?;
    let (store, key) = (corrupt.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    corrupt.write_unknown_format(&key).await;
    let before = corrupt.raw(&key).await;
    assert!(before.is_some(), "the harness wrote something");

    let next = sample::completed(&claim, "answer");
    expect_corrupt("get", store.get(&key).await);
    expect_corrupt("create", store.create(&key, &sample::claim(), LONG).await);
    expect_corrupt(
        "update",
        store.update(&key, claim.version, &next, LONG).await,
    );
    expect_corrupt("delete", store.delete(&key, claim.version).await);
    expect_unchanged(&*corrupt, &key, before).await;
    Ok(())
}

/// **S7.** A damaged record is an error to whoever reads it: never another answer, never absent,
/// and never overwritten by a new claim.
pub async fn s7_a_damaged_record_is_refused_and_stays(harness: &dyn Harness) -> Verdict {
    let corrupt = needs(harness.corrupt().await, "way to damage what is stored")?;
    let (store, key) = (corrupt.store().await, Keys::draw(harness).random());
    let record = sample::record(State::Completed {
        payload: "an answer that is worth money".into(),
    });
    put(&*store, &key, &record, LONG).await;
    corrupt.damage(&key).await;
    let before = corrupt.raw(&key).await;
    expect_corrupt("get", store.get(&key).await);
    expect_corrupt("create", store.create(&key, &sample::claim(), LONG).await);
    expect_unchanged(&*corrupt, &key, before).await;
    Ok(())
}

pub(super) async fn expect_fidelity(
    harness: &dyn Harness,
    records: impl IntoIterator<Item = Record>,
) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let reader = harness.store().await;
    for record in records {
        let created = keys.random();
        put(&*store, &created, &record, LONG).await;
        expect_record(&*reader, &created, &record, "S7: what was created").await;

        let (updated, claim) = (keys.random(), sample::claim());
        put(&*store, &updated, &claim, LONG).await;
        replace(&*store, &updated, claim.version, &record, LONG).await;
        expect_record(&*reader, &updated, &record, "S7: what was updated").await;

        // The version that came back is the one that a conditional write has to name.
        crate::call::remove(&*store, &created, record.version).await;
        expect_gone(&*reader, &created).await;
    }
    Ok(())
}

async fn expect_gone(store: &dyn Store, key: &idem_core::RecordKey) {
    assert_eq!(crate::call::look(store, key).await, None, "S3: it is gone");
}

#[track_caller]
fn expect_corrupt<T: std::fmt::Debug>(what: &str, result: Result<T, StoreError>) {
    match result {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {}
        other => panic!("S7: {what} on what cannot be read is `Corrupt`, not {other:?}"),
    }
}

async fn expect_unchanged(
    corrupt: &dyn Corrupt,
    key: &idem_core::RecordKey,
    before: Option<Vec<u8>>,
) {
    assert!(
        corrupt.raw(key).await == before,
        "S7: what cannot be read is never overwritten"
    );
}
