//! `FaultStore` does to a call what it says, and what it says of the call is true.

use std::time::Duration;

use crate::reference::ReferenceStore;
use idem_conformance::{CallFault, FaultStore, Odds, Op};
use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Created, Deleted, Record, State, Store, StoreErrorKind, Updated, Version},
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn key(name: &str) -> RecordKey {
    Scope::global().key(&IdempotencyKey::new(name).expect("the tests' keys are keys"))
}

fn record(token: u8) -> Record {
    Record {
        fingerprint: Fingerprint::of("test/v1", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([token; 16]),
            revision: 1,
        },
        created_at: Timestamp::default(),
        state: State::Completed {
            payload: "x".into(),
        },
    }
}

fn store() -> FaultStore<ReferenceStore> {
    FaultStore::new(ReferenceStore::default())
}

async fn is_there(store: &FaultStore<ReferenceStore>, name: &str) -> bool {
    let found = store.inner().get(&key(name)).await;
    found.expect("the reference store never fails").is_some()
}

#[tokio::test]
async fn s9_what_is_refused_or_lost_on_its_way_is_not_applied() {
    let store = store();
    for (fault, kind) in [
        (CallFault::Refuse, StoreErrorKind::Unavailable),
        (CallFault::LoseRequest, StoreErrorKind::Unknown),
    ] {
        store.on_next(Op::Create, fault);
        let error = store.create(&key("k"), &record(1), HOUR).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(!is_there(&store, "k").await);
    }
}

#[tokio::test]
async fn s9_a_lost_reply_is_unknown_and_applied() {
    let store = store();
    let (first, second) = (record(1), record(2));
    store.on_next_call(CallFault::LoseReply);
    let error = store.create(&key("k"), &first, HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unknown);
    assert!(is_there(&store, "k").await);

    store.on_next(Op::Update, CallFault::LoseReply);
    let k = key("k");
    let update = || store.update(&k, first.version, &second, HOUR);
    assert!(update().await.is_err());
    let Updated::Conflict(Some(found)) = update().await.unwrap() else {
        panic!("the lost update had been applied");
    };
    assert_eq!(found.record, second);

    store.on_next(Op::Delete, CallFault::LoseReply);
    assert!(store.delete(&key("k"), second.version).await.is_err());
    assert!(!is_there(&store, "k").await);
}

#[tokio::test]
async fn a_script_waits_for_its_operation_and_strikes_once() {
    let store = store();
    store.on_next(Op::Get, CallFault::Refuse);
    assert_eq!(
        store.create(&key("k"), &record(1), HOUR).await.unwrap(),
        Created::New
    );
    assert!(store.get(&key("k")).await.is_err());
    assert!(store.get(&key("k")).await.is_ok());
    assert_eq!(store.struck()["refuse"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_write_is_applied_after_its_caller_gave_up() {
    let store = store();
    store.on_next(Op::Create, CallFault::Late(SECOND));
    let error = store.create(&key("k"), &record(1), HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unknown);
    assert!(!is_there(&store, "k").await);
    tokio::time::sleep(2 * SECOND).await;
    assert!(is_there(&store, "k").await);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_applied_twice() {
    let store = store();
    let record = record(1);
    store.on_next(Op::Create, CallFault::Duplicate(SECOND));
    let created = store.create(&key("k"), &record, HOUR).await.unwrap();
    assert_eq!(created, Created::New);
    let deleted = store.delete(&key("k"), record.version).await.unwrap();
    assert_eq!(deleted, Deleted::Done);
    tokio::time::sleep(2 * SECOND).await;
    assert!(is_there(&store, "k").await, "the second delivery came");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_goes_on_when_healed() {
    let store = store();
    for (fault, applied) in [(CallFault::Hang, false), (CallFault::HangAfter, true)] {
        let name = fault.name();
        store.on_every_call(fault);
        let hanging = tokio::spawn({
            let store = store.clone();
            async move { store.create(&key(name), &record(1), HOUR).await }
        });
        tokio::time::sleep(HOUR / 2).await;
        assert!(!hanging.is_finished());
        assert_eq!(is_there(&store, name).await, applied);
        store.heal();
        assert_eq!(hanging.await.unwrap().unwrap(), Created::New);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_before_or_after_the_write() {
    let store = store();
    for (fault, applied) in [
        (CallFault::Delay(SECOND), false),
        (CallFault::DelayReply(SECOND), true),
    ] {
        let name = fault.name();
        store.on_next_call(fault);
        let slow = tokio::spawn({
            let store = store.clone();
            async move { store.create(&key(name), &record(1), HOUR).await }
        });
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!(is_there(&store, name).await, applied);
        assert_eq!(slow.await.unwrap().unwrap(), Created::New);
    }
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_sequence_of_faults() {
    let run = async |seed| {
        let store = store();
        let odds = Odds {
            hang: 0.0,
            hang_after: 0.0,
            ..Odds::even(0.9, SECOND)
        };
        store.at_random(odds, seed);
        let mut told = Vec::new();
        for n in 0..200 {
            let created = store.create(&key(&n.to_string()), &record(1), HOUR).await;
            told.push(created.map_err(|error| error.kind()));
        }
        (told, store.struck())
    };
    let (told, struck) = run(7).await;
    assert_eq!((told, struck.clone()), run(7).await);
    assert_ne!(struck, run(8).await.1);
    assert_eq!(
        struck.len(),
        7,
        "every kind that has odds strikes: {struck:?}"
    );
}
