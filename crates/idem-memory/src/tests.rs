//! What only the inside shows: how many records an operation looks at.

use std::time::Duration;

use idem_core::{
    Bytes, Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{
        ClaimToken, Created, Record, State, Store, StoreErrorKind, Sweep, Updated, Version, Watch,
    },
};

use crate::{ManualClock, MemoryConfig, MemoryStore};

const LEASE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn key(n: u64) -> RecordKey {
    Scope::global().key(&IdempotencyKey::new(n.to_string()).unwrap())
}

fn record(revision: u64, state: State) -> Record {
    Record {
        fingerprint: Fingerprint::of("test", b""),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision,
        },
        created_at: Timestamp::default(),
        state,
    }
}

fn claim() -> Record {
    let checkpoint = None;
    record(
        1,
        State::InFlight {
            lease: LEASE,
            checkpoint,
        },
    )
}

fn completion(payload: &'static [u8]) -> Record {
    let payload = Bytes::from_static(payload);
    record(2, State::Completed { payload })
}

fn store(config: MemoryConfig) -> (MemoryStore, ManualClock) {
    let clock = ManualClock::new();
    (MemoryStore::with_config(config.clock(clock.clone())), clock)
}

async fn claim_and_complete(store: &MemoryStore, n: u64) {
    let created = store.create(&key(n), &claim(), DAY + LEASE).await.unwrap();
    assert_eq!(created, Created::New);
    let expected = claim().version;
    let updated = store
        .update(&key(n), expected, &completion(b"answer"), DAY)
        .await;
    assert_eq!(updated.unwrap(), Updated::Done);
}

fn looked_at(store: &MemoryStore) -> usize {
    (0..store.shards())
        .map(|i| store.shard_at(i).looked_at)
        .sum()
}

fn dates(store: &MemoryStore) -> usize {
    (0..store.shards()).map(|i| store.shard_at(i).dates()).sum()
}

#[tokio::test]
async fn writes_purge_what_expired_and_look_at_nothing_else() {
    let (store, clock) = store(MemoryConfig::default());
    for n in 0..1000 {
        claim_and_complete(&store, n).await;
    }
    clock.advance(DAY / 2);
    for n in 1000..2000 {
        claim_and_complete(&store, n).await;
    }
    assert_eq!(looked_at(&store), 0, "nothing was due");
    assert_eq!(
        dates(&store),
        2000,
        "one date a record, endings needed none"
    );

    clock.advance(DAY / 2);
    for n in 2000..3000 {
        claim_and_complete(&store, n).await;
    }
    assert_eq!(
        store.records(),
        2000,
        "the first thousand went as the third came"
    );
    assert_eq!(looked_at(&store), 1000, "each was looked at once");
}

#[tokio::test]
async fn a_record_that_was_renewed_is_looked_at_again_and_kept() {
    let (store, clock) = store(MemoryConfig::default().shards(1));
    store
        .create(&key(0), &claim(), Duration::from_secs(60))
        .await
        .unwrap();
    clock.advance(Duration::from_secs(29));
    let renewed = Record {
        version: completion(b"").version,
        ..claim()
    };
    let updated = store
        .update(&key(0), claim().version, &renewed, Duration::from_secs(60))
        .await;
    assert_eq!(updated.unwrap(), Updated::Done);
    assert_eq!(dates(&store), 1);

    clock.advance(Duration::from_secs(59));
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), 0);
    assert!(store.get(&key(0)).await.unwrap().is_some());
    assert_eq!(dates(&store), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), 1);
    assert_eq!((store.records(), store.bytes(), dates(&store)), (0, 0, 0));
}

#[tokio::test]
async fn a_much_shorter_ttl_gets_a_date_of_its_own() {
    let (store, clock) = store(MemoryConfig::default().shards(1));
    store.create(&key(0), &claim(), DAY).await.unwrap();
    let second = Duration::from_secs(1);
    store
        .update(&key(0), claim().version, &completion(b""), second)
        .await
        .unwrap();
    clock.advance(second);
    assert_eq!(store.records(), 1);
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), 1);
    assert_eq!(store.records(), 0);
}

#[tokio::test]
async fn keys_that_come_and_go_leave_no_dates_behind() {
    let (store, _clock) = store(MemoryConfig::default().shards(1));
    for n in 0..10_000 {
        store.create(&key(n), &claim(), DAY).await.unwrap();
        store.delete(&key(n), claim().version).await.unwrap();
    }
    assert_eq!((store.records(), store.bytes()), (0, 0));
    assert!(dates(&store) <= 64, "{}", dates(&store));
}

#[tokio::test]
async fn s6_a_store_without_room_refuses_and_keeps_all_it_has() {
    let (store, _clock) = store(MemoryConfig::default().max_records(100));
    for n in 0..100 {
        claim_and_complete(&store, n).await;
    }
    let refused = store.create(&key(100), &claim(), DAY).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Full);
    for n in 0..100 {
        let found = store.get(&key(n)).await.unwrap().unwrap();
        assert_eq!(found.record, completion(b"answer"));
    }
}

#[tokio::test]
async fn s6_room_is_made_from_what_expired_in_every_shard() {
    let (store, clock) = store(MemoryConfig::default().max_records(1).shards(64));
    let shard = |n| store.shard_index(store.hashed(&key(n)).hash);
    let elsewhere = (1..).find(|n| shard(*n) != shard(0)).unwrap();
    claim_and_complete(&store, 0).await;
    clock.advance(DAY);
    claim_and_complete(&store, elsewhere).await;
    assert_eq!(store.records(), 1);
}

#[tokio::test]
async fn s6_a_store_without_bytes_takes_what_does_not_grow() {
    let one = MemoryStore::RECORD_OVERHEAD + key(0).as_str().len();
    let (store, _clock) = store(MemoryConfig::default().max_bytes(2 * one + 3));
    store.create(&key(0), &claim(), DAY).await.unwrap();
    store.create(&key(1), &claim(), DAY).await.unwrap();
    let expected = claim().version;
    let refused = store
        .update(&key(0), expected, &completion(b"four"), DAY)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Full);
    assert_eq!(store.get(&key(0)).await.unwrap().unwrap().record, claim());

    let updated = store
        .update(&key(0), expected, &completion(b"333"), DAY)
        .await;
    assert_eq!(updated.unwrap(), Updated::Done);
    let shorter = Record {
        version: Version {
            revision: 9,
            ..expected
        },
        ..completion(b"22")
    };
    let updated = store
        .update(&key(0), completion(b"").version, &shorter, DAY)
        .await;
    assert_eq!(updated.unwrap(), Updated::Done);
    let updated = store
        .update(&key(1), expected, &completion(b"1"), DAY)
        .await;
    assert_eq!(updated.unwrap(), Updated::Done);
    assert_eq!(store.bytes(), 2 * one + 3);
    let refused = store.create(&key(2), &claim(), DAY).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Full);
}

#[tokio::test]
async fn watchers_that_go_leave_nothing_behind() {
    let (store, _clock) = store(MemoryConfig::default().shards(1));
    let watched = || store.shard_at(0).watched().len();
    let first = store.watch(&key(0)).await.unwrap();
    let second = store.watch(&key(0)).await.unwrap();
    let other = store.watch(&key(1)).await.unwrap();
    assert_eq!(watched(), 2);
    drop(first);
    assert_eq!(watched(), 2);
    drop((second, other));
    assert_eq!(watched(), 0);
}
