//! What a cache of replays answers by itself, and what it never does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behind;

use std::{sync::atomic::Ordering, time::Duration};

use behind::{Behind, Hanging};
use idem_conformance::DURATIONS;
use idem_core::{
    Bytes, Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{
        ClaimToken, Created, Deleted, Record, State, Store, StoreError, StoreErrorKind, Updated,
        Version,
    },
};
use idem_memory::{ReplayCache, ReplayCacheConfig};
use tokio::sync::Semaphore;

const HOUR: Duration = Duration::from_secs(3600);
/// An entry ends this much before an hour, for clocks that run at different speeds.
const MARGIN: Duration = Duration::from_millis(3600);

fn key() -> RecordKey {
    Scope::global().key(&IdempotencyKey::new("k").unwrap())
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

fn in_flight() -> Record {
    let (lease, checkpoint) = (HOUR, None);
    record(1, State::InFlight { lease, checkpoint })
}

fn retryable() -> Record {
    let checkpoint = None;
    record(2, State::Retryable { checkpoint })
}

fn completed() -> Record {
    let payload = Bytes::from_static(b"answer");
    record(2, State::Completed { payload })
}

fn failed() -> Record {
    let payload = Bytes::from_static(b"declined");
    record(2, State::Failed { payload })
}

/// Claims once more, and says what was found and whether the store was asked for it.
async fn claim_again(cache: &ReplayCache<Behind>) -> (Option<Record>, bool) {
    let before = cache.store().asked();
    let created = cache.create(&key(), &in_flight(), HOUR).await.unwrap();
    let found = match created {
        Created::New => None,
        Created::Exists(stored) => Some(stored.record),
    };
    (found, cache.store().asked() != before)
}

async fn end(store: &impl Store, record: Record, ttl: Duration) {
    let created = store.create(&key(), &in_flight(), 10 * HOUR).await;
    assert_eq!(created.unwrap(), Created::New);
    let updated = store
        .update(&key(), in_flight().version, &record, ttl)
        .await;
    assert_eq!(updated.unwrap(), Updated::Done);
}

#[tokio::test]
async fn what_is_in_flight_or_retryable_is_always_asked_for() {
    let cache = Behind::new(None).cached();
    assert_eq!(claim_again(&cache).await, (None, true));
    for _ in 0..3 {
        assert_eq!(claim_again(&cache).await, (Some(in_flight()), true));
    }
    let expected = in_flight().version;
    let updated = cache.update(&key(), expected, &retryable(), HOUR).await;
    assert_eq!(updated.unwrap(), Updated::Done);
    for _ in 0..3 {
        assert_eq!(claim_again(&cache).await, (Some(retryable()), true));
    }
}

#[tokio::test]
async fn g2_an_ending_written_through_the_cache_is_replayed_from_memory() {
    for ending in [completed(), failed()] {
        let cache = Behind::new(None).cached();
        end(&cache, ending.clone(), HOUR).await;
        assert_eq!(claim_again(&cache).await, (Some(ending.clone()), false));
        cache
            .store()
            .0
            .clock
            .advance(HOUR - MARGIN - Duration::from_nanos(1));
        assert_eq!(claim_again(&cache).await, (Some(ending.clone()), false));
        cache.store().0.clock.advance(Duration::from_nanos(1));
        assert_eq!(claim_again(&cache).await, (Some(ending), true));
        cache.store().0.clock.advance(MARGIN);
        assert_eq!(claim_again(&cache).await, (None, true));
    }
}

#[tokio::test]
async fn an_ending_from_elsewhere_is_asked_for_once() {
    let behind = Behind::new(None);
    end(&behind, completed(), HOUR).await;
    behind.0.clock.advance(HOUR / 2);
    let cache = behind.cached();
    assert_eq!(claim_again(&cache).await, (Some(completed()), true));
    assert_eq!(claim_again(&cache).await, (Some(completed()), false));
    behind.0.clock.advance(HOUR / 2);
    assert_eq!(claim_again(&cache).await, (None, true));
}

#[tokio::test]
async fn a_store_that_does_not_say_how_long_is_asked_with_get_the_next_time() {
    let behind = Behind::new(None);
    behind.0.silent.store(true, Ordering::SeqCst);
    end(&behind, completed(), HOUR).await;
    let cache = behind.cached();
    let (creates, _) = behind.asked();
    assert_eq!(claim_again(&cache).await, (Some(completed()), true));
    assert_eq!(behind.asked(), (creates + 1, 0));
    assert_eq!(claim_again(&cache).await, (Some(completed()), true));
    assert_eq!(behind.asked(), (creates + 1, 1));
    assert_eq!(claim_again(&cache).await, (Some(completed()), false));

    behind.0.clock.advance(HOUR);
    assert_eq!(claim_again(&cache).await, (None, true));
}

#[tokio::test]
async fn a_noted_ending_that_is_gone_is_as_new() {
    let behind = Behind::new(None);
    behind.0.silent.store(true, Ordering::SeqCst);
    end(&behind, completed(), HOUR).await;
    let cache = behind.cached();
    assert_eq!(claim_again(&cache).await, (Some(completed()), true));
    behind.0.clock.advance(HOUR);
    assert_eq!(claim_again(&cache).await, (None, true));
    assert_eq!(claim_again(&cache).await, (Some(in_flight()), true));
}

/// S5: the time on the way counts as time that the record had already used up.
#[tokio::test]
async fn s5_an_entry_never_outlives_its_record_however_slow_the_reply() {
    let behind = Behind::new(None);
    let cache = behind.cached();
    *behind.0.delay.lock().unwrap() = HOUR / 4;
    end(&cache, completed(), HOUR).await; // written a quarter before the reply came
    *behind.0.delay.lock().unwrap() = Duration::ZERO;
    behind.0.clock.advance(HOUR / 2);
    assert_eq!(claim_again(&cache).await, (Some(completed()), false));
    behind.0.clock.advance(HOUR / 4);
    assert_eq!(claim_again(&cache).await, (None, true));
}

#[tokio::test]
async fn an_entry_is_used_for_its_max_age_at_most() {
    let behind = Behind::new(None);
    end(&behind, completed(), 10 * HOUR).await;
    let config = ReplayCacheConfig::default().max_age(HOUR);
    let config = config.clock(behind.0.clock.clone());
    let cache = ReplayCache::with_config(behind.clone(), config);
    assert_eq!(claim_again(&cache).await, (Some(completed()), true));
    behind
        .0
        .store
        .delete(&key(), completed().version)
        .await
        .unwrap();
    behind.0.clock.advance(HOUR - Duration::from_nanos(1));
    assert_eq!(claim_again(&cache).await, (Some(completed()), false));
    behind.0.clock.advance(Duration::from_nanos(1));
    assert_eq!(claim_again(&cache).await, (None, true));
}

#[tokio::test]
async fn s3_a_delete_through_the_cache_is_seen_at_once() {
    let cache = Behind::new(None).cached();
    end(&cache, completed(), HOUR).await;
    let stale = cache.delete(&key(), in_flight().version).await.unwrap();
    assert!(matches!(stale, Deleted::Conflict(Some(_))));
    assert_eq!(claim_again(&cache).await, (Some(completed()), false));
    let deleted = cache.delete(&key(), completed().version).await;
    assert_eq!(deleted.unwrap(), Deleted::Done);
    assert_eq!(claim_again(&cache).await, (None, true));
}

#[tokio::test]
async fn what_was_forgotten_is_asked_for() {
    let cache = Behind::new(None).cached();
    end(&cache, completed(), HOUR).await;
    cache.forget(&key());
    assert_eq!(claim_again(&cache).await, (Some(completed()), true));
}

/// S9: errors come through, and a write that may have been applied takes the entry along.
#[tokio::test]
async fn s9_errors_are_passed_on() {
    let behind = Behind::new(None);
    let cache = behind.cached();
    end(&cache, completed(), HOUR).await;
    *behind.0.error.lock().unwrap() = Some(StoreError::unknown("no reply"));
    // A replay needs no store.
    let created = cache.create(&key(), &in_flight(), HOUR).await;
    assert!(matches!(created, Ok(Created::Exists(_))));

    let unknown = cache.delete(&key(), completed().version).await.unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::Unknown);
    let unknown = cache.create(&key(), &in_flight(), HOUR).await.unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::Unknown);
    *behind.0.error.lock().unwrap() = None;
    assert_eq!(claim_again(&cache).await, (Some(in_flight()), true));
}

/// A reply that was on its way while its record was deleted teaches the cache nothing.
#[tokio::test]
async fn a_late_reply_does_not_bring_a_deleted_record_back() {
    let behind = Behind::new(Some(Semaphore::new(0)));
    let created = behind.0.store.create(&key(), &completed(), HOUR).await;
    assert_eq!(created.unwrap(), Created::New);
    let cache = behind.cached();
    let late = {
        let cache = cache.clone();
        tokio::spawn(async move { claim_again(&cache).await })
    };
    while behind.asked() == (0, 0) {
        tokio::task::yield_now().await;
    }
    let deleted = cache.delete(&key(), completed().version).await;
    assert_eq!(deleted.unwrap(), Deleted::Done);
    behind.0.gate.as_ref().unwrap().add_permits(2);
    assert_eq!(late.await.unwrap(), (Some(completed()), true));
    assert_eq!(claim_again(&cache).await, (None, true));
}

/// S10: a caller that goes away half-way through a delete leaves no entry that may be wrong.
#[tokio::test]
async fn s10_a_dropped_delete_takes_the_entry_along() {
    let behind = Behind::new(None);
    let cache = behind.cached();
    end(&cache, completed(), HOUR).await;
    let gone = ReplayCache::with_config(
        Hanging(cache.clone()),
        ReplayCacheConfig::default().clock(behind.0.clock.clone()),
    );
    let created = gone.create(&key(), &in_flight(), HOUR).await.unwrap();
    assert!(matches!(created, Created::Exists(_)));
    let version = completed().version;
    let key = key();
    let mut delete = gone.delete(&key, version);
    assert!(polled_once(delete.as_mut()).is_none());
    drop(delete);
    assert_eq!(
        gone.create(&key, &in_flight(), HOUR).await.unwrap(),
        Created::New
    );
}

/// What a future answers at its first poll, if it does.
fn polled_once<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn every_age_is_kept_to() {
    for max_age in DURATIONS {
        let behind = Behind::new(None);
        let config = ReplayCacheConfig::default().max_age(max_age);
        let cache = ReplayCache::with_config(behind.clone(), config.clock(behind.0.clock.clone()));
        end(&cache, completed(), HOUR).await;
        behind.0.clock.advance(HOUR / 2);
        let asked = claim_again(&cache).await;
        assert_eq!(
            asked,
            (Some(completed()), max_age <= HOUR / 2),
            "{max_age:?}"
        );
    }
}
