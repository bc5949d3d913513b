//! How threads may take turns in the store, tried out by `shuttle`:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p idem-interleavings`
//!
//! It alone catches a race between two threads inside of the memory store, between two of its locks.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use idem_core::{
    Bytes, Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{
        Browse, ClaimToken, Created, Deleted, Filter, Record, State, Store, StoreErrorKind, Sweep,
        Updated, Version, Watch,
    },
};
use memory_store::{ManualClock, MemoryConfig, MemoryStore};
use shuttle::thread;

const SCHEDULES: usize = 20_000;
const HOUR: Duration = Duration::from_secs(3600);

fn key(n: u8) -> RecordKey {
    Scope::global().key(&IdempotencyKey::new(format!("key-{n}")).unwrap())
}

fn version(token: u8, revision: u64) -> Version {
    let token = ClaimToken::from_bytes([token; 16]);
    Version { token, revision }
}

fn in_flight(token: u8) -> Record {
    let (lease, checkpoint) = (HOUR, None);
    record(version(token, 1), State::InFlight { lease, checkpoint })
}

fn completed(token: u8) -> Record {
    let payload = Bytes::from(vec![token]);
    record(version(token, 2), State::Completed { payload })
}

fn record(version: Version, state: State) -> Record {
    Record {
        fingerprint: Fingerprint::of("test", b""),
        attempt: 1,
        version,
        created_at: Timestamp::default(),
        state,
    }
}

/// A store in memory answers at the first poll.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a store in memory answers at once"),
    }
}

fn create(store: &MemoryStore, key: &RecordKey, record: &Record) -> Created {
    now(store.create(key, record, HOUR)).unwrap()
}

/// Completes the claim of token 1.
fn complete(store: &MemoryStore, key: &RecordKey, payload: u8) -> Updated {
    now(store.update(key, version(1, 1), &completed(payload), HOUR)).unwrap()
}

/// Runs one closure per number, each on a thread of its own, and collects what they give.
fn side_by_side<T: Send + 'static>(
    numbers: impl IntoIterator<Item = u8>,
    run: impl Fn(u8) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let threads: Vec<_> = numbers
        .into_iter()
        .map(|n| {
            let run = run.clone();
            thread::spawn(move || run(n))
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

fn small(config: MemoryConfig) -> (MemoryStore, ManualClock) {
    let clock = ManualClock::new();
    let store = MemoryStore::with_config(config.shards(2).clock(clock.clone()));
    (store, clock)
}

#[test]
fn s1_one_of_concurrent_creates_wins_and_the_others_are_told_the_winner() {
    let run = || {
        let (store, _) = small(MemoryConfig::default());
        let answers = side_by_side(1..=3, {
            let store = store.clone();
            move |token| create(&store, &key(0), &in_flight(token))
        });
        let winner = now(store.get(&key(0))).unwrap().unwrap();
        let won = answers.iter().filter(|answer| **answer == Created::New);
        assert_eq!(won.count(), 1);
        for answer in answers {
            if let Created::Exists(found) = answer {
                assert_eq!(found.record, winner.record);
            }
        }
    };
    shuttle::check_random(run, SCHEDULES);
}

#[test]
fn s2_s3_one_of_concurrent_updates_and_deletes_applies() {
    let run = || {
        let (store, _) = small(MemoryConfig::default());
        create(&store, &key(0), &in_flight(1));
        let applied = side_by_side(1..=3, {
            let store = store.clone();
            move |n| match n {
                3 => now(store.delete(&key(0), version(1, 1))).unwrap() == Deleted::Done,
                n => complete(&store, &key(0), n) == Updated::Done,
            }
        });
        assert_eq!(applied.iter().filter(|applied| **applied).count(), 1);
        let found = now(store.get(&key(0))).unwrap().map(|found| found.record);
        match applied.iter().position(|applied| *applied) {
            Some(2) => assert_eq!(found, None),
            Some(n) => assert_eq!(found, Some(completed(u8::try_from(n + 1).unwrap()))),
            None => unreachable!(),
        }
    };
    shuttle::check_random(run, SCHEDULES);
}

/// S6: what fits is taken, whichever shard took room ahead of its needs meanwhile.
#[test]
fn s6_nothing_is_refused_while_there_is_room() {
    let run = || {
        let size = MemoryStore::RECORD_OVERHEAD + key(0).as_str().len();
        let (store, _) = small(MemoryConfig::default().max_bytes(4 * size).max_records(4));
        let answers = side_by_side([0, 2], {
            let store = store.clone();
            move |n| [n, n + 1].map(|n| create(&store, &key(n), &in_flight(1)))
        });
        assert!(
            answers
                .into_iter()
                .flatten()
                .all(|answer| answer == Created::New)
        );
        let refused = now(store.create(&key(4), &in_flight(1), HOUR)).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Full);
        assert_eq!((store.records(), store.bytes()), (4, 4 * size));
    };
    shuttle::check_random(run, SCHEDULES);
}

/// S5, S6: purging, sweeping and writing side by side keep the count, and revive nothing.
#[test]
fn s5_what_expires_meanwhile_is_gone_for_all_and_counted_once() {
    let run = || {
        let (store, clock) = small(MemoryConfig::default());
        for n in 0..3 {
            create(&store, &key(n), &in_flight(1));
        }
        side_by_side(0..4, {
            let store = store.clone();
            move |n| match n {
                0 => clock.advance(HOUR),
                1 => drop(now(store.sweep(10)).unwrap()),
                2 => drop(create(&store, &key(0), &in_flight(2))),
                _ => {
                    let gone = now(store.get(&key(1))).unwrap().is_none();
                    let updated = complete(&store, &key(1), 1);
                    assert!(!gone || updated == Updated::Conflict(None));
                }
            }
        });
        now(store.sweep(10)).unwrap();
        let live = (0..3).filter(|n| now(store.get(&key(*n))).unwrap().is_some());
        assert_eq!(live.count(), store.records());
    };
    shuttle::check_random(run, SCHEDULES);
}

/// S5: time is read in the order of the calls, so that nobody brings back what somebody else was
/// told is gone. The update would have given the record a longer life, had it come first.
#[test]
fn s5_nobody_revives_what_another_was_told_is_gone() {
    let run = || {
        let (store, clock) = small(MemoryConfig::default());
        create(&store, &key(0), &in_flight(1));
        let told = side_by_side(0..3, {
            let store = store.clone();
            move |n| match n {
                0 => {
                    clock.advance(HOUR);
                    false
                }
                // A get would remove it, and hide what is looked for here.
                1 => now(store.browse(&Filter::default(), None, 10))
                    .unwrap()
                    .records
                    .is_empty(),
                _ => {
                    let long = now(store.update(&key(0), version(1, 1), &completed(1), 2 * HOUR));
                    long.unwrap() == Updated::Done
                }
            }
        });
        let (gone, updated) = (told[1], told[2]);
        assert!(!(gone && updated), "gone for one, and there for another");
    };
    shuttle::check_random(run, SCHEDULES);
}

/// A watcher that saw the old record is woken by whoever changes it.
#[test]
fn watch_no_change_after_a_look_is_missed() {
    let run = || {
        let (store, _) = small(MemoryConfig::default());
        create(&store, &key(0), &in_flight(1));
        let changing = thread::spawn({
            let store = store.clone();
            move || complete(&store, &key(0), 1)
        });
        let mut watcher = now(store.watch(&key(0))).unwrap();
        let seen = now(store.get(&key(0))).unwrap().unwrap().record;
        assert_eq!(changing.join().unwrap(), Updated::Done);
        if seen == in_flight(1) {
            now(watcher.changed());
        }
    };
    shuttle::check_random(run, SCHEDULES);
}
