//! S5: past its ttl a record is absent to all four operations, purged or not; before it, it is
//! there.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, State, Store, Updated},
};
use tokio::time::Instant;

use super::{GRAIN, SHORT};
use crate::{
    Harness, Verdict,
    call::{all, expect_record, handles, look, ok, put, replace, scaled, until},
    sample::{self, Keys, LONG},
};

/// **S5, S6.** A record of any state lives out its ttl, and then it is absent.
pub async fn s5_a_record_lives_as_long_as_its_ttl(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let ttl = scaled(harness, SHORT);
    for state in [
        sample::claim().state,
        State::Retryable { checkpoint: None },
        State::Completed {
            payload: "done".into(),
        },
        State::Failed {
            payload: "no".into(),
        },
    ] {
        let (key, record, before) = (keys.random(), sample::record(state), Instant::now());
        put(&*store, &key, &record, ttl).await;
        expect_life(harness, &*store, &key, before, ttl).await;
    }
    Ok(())
}

/// **S5.** A create over an expired record is new, although nothing purged it.
pub async fn s5_a_create_over_an_expired_record_is_new(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let expired = Expired::wait(harness, &*store, &keys, 1).await;
    let (key, record) = (&expired.keys[0], sample::claim());
    put(&*store, key, &record, LONG).await;
    expect_record(&*store, key, &record, "S5: the new record is there").await;
    Ok(())
}

/// **S5.** An update of an expired record conflicts with nothing, although its version is right.
pub async fn s5_an_update_of_an_expired_record_is_refused(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let expired = Expired::wait(harness, &*store, &keys, 1).await;
    let (key, record) = (&expired.keys[0], &expired.records[0]);
    let late = sample::completed(record, "late");
    let updated = store.update(key, record.version, &late, LONG).await;
    assert_eq!(
        ok("update", updated),
        Updated::Conflict(None),
        "S5: an expired record is absent to an update"
    );
    assert_eq!(look(&*store, key).await, None, "S5: it stays absent");
    Ok(())
}

/// **S5.** A delete of an expired record conflicts with nothing, although its version is right.
pub async fn s5_a_delete_of_an_expired_record_is_refused(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let expired = Expired::wait(harness, &*store, &keys, 1).await;
    let (key, record) = (&expired.keys[0], &expired.records[0]);
    assert_eq!(
        ok("delete", store.delete(key, record.version).await),
        Deleted::Conflict(None),
        "S5: an expired record is absent to a delete"
    );
    Ok(())
}

/// **S5.** A get of an expired record finds nothing, also as the first call that touches it.
pub async fn s5_a_get_of_an_expired_record_finds_nothing(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let expired = Expired::wait(harness, &*store, &keys, 3).await;
    let other = harness.store().await;
    for key in &expired.keys {
        assert_eq!(look(&*other, key).await, None, "S5: expired is absent");
        assert_eq!(look(&*store, key).await, None, "S5: expired is absent");
    }
    Ok(())
}

/// **S5.** An update replaces the ttl: a longer one keeps the record past the old one.
pub async fn s5_an_update_can_lengthen_a_life(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let mut ttl = scaled(harness, SHORT);
    let (key, done) = loop {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*store, &key, &claim, ttl).await;
        let done = sample::completed(&claim, "answer");
        let updated = store.update(&key, claim.version, &done, LONG).await;
        match ok("update", updated) {
            Updated::Done => break (key, done),
            // A slow machine let the record expire before the update came.
            Updated::Conflict(None) if ttl < LONG => ttl *= 4,
            Updated::Conflict(found) => panic!("S2: its version was there, but {found:?}"),
        }
    };
    let marker = keys.random();
    put(&*store, &marker, &sample::claim(), ttl).await;
    until_gone(harness, &*store, &marker).await;
    expect_record(&*store, &key, &done, "S5: an update replaces the ttl").await;
    Ok(())
}

/// **S5.** An update replaces the ttl: a shorter one ends the record before the old one.
pub async fn s5_an_update_can_shorten_a_life(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    let (ttl, before) = (scaled(harness, SHORT), Instant::now());
    let done = sample::completed(&claim, "answer");
    replace(&*store, &key, claim.version, &done, ttl).await;
    expect_life(harness, &*store, &key, before, ttl).await;
    Ok(())
}

/// **S1, S5.** Of concurrent creates over one expired record, through several handles, exactly one
/// is new.
pub async fn s1_single_winner_over_an_expired_record(harness: &dyn Harness) -> Verdict {
    const KEYS: usize = 20;
    const TASKS: usize = 8;
    let (stores, keys) = (handles(harness).await, Keys::draw(harness));
    let expired = Expired::wait(harness, &*stores[0], &keys, KEYS).await;
    for key in &expired.keys {
        let tasks = (0..TASKS).map(|n| {
            let (store, key) = (stores[n % stores.len()].clone(), key.clone());
            tokio::spawn(async move {
                let claim = sample::claim();
                (ok("create", store.create(&key, &claim, LONG).await), claim)
            })
        });
        let ended = all(tasks).await.into_iter();
        let winners: Vec<_> = ended
            .filter(|(created, _)| *created == Created::New)
            .collect();
        assert_eq!(winners.len(), 1, "S1: exactly one of {TASKS} creates wins");
        expect_record(&*stores[0], key, &winners[0].1, "S1: the winner's stays").await;
    }
    Ok(())
}

/// Records that are past their ttl and that no call has touched since.
pub(super) struct Expired {
    pub(super) keys: Vec<RecordKey>,
    pub(super) records: Vec<Record>,
}

impl Expired {
    /// Files records, and then one more, which is watched until it is gone.
    pub(super) async fn wait(
        harness: &dyn Harness,
        store: &dyn Store,
        keys: &Keys,
        count: usize,
    ) -> Self {
        let ttl = scaled(harness, SHORT);
        let all: Vec<_> = (0..count).map(|_| keys.random()).collect();
        let records: Vec<_> = all.iter().map(|_| sample::claim()).collect();
        for (key, record) in all.iter().zip(&records) {
            put(store, key, record, ttl).await;
        }
        let last = keys.random();
        put(store, &last, &sample::claim(), ttl + 2 * GRAIN).await;
        until_gone(harness, store, &last).await;
        Self { keys: all, records }
    }
}

pub(super) async fn until_gone(harness: &dyn Harness, store: &dyn Store, key: &RecordKey) {
    until(harness, "S5: a record is absent past its ttl", || async {
        look(store, key).await.is_none().then_some(())
    })
    .await;
}

/// The record goes, and not before its ttl is over, counted from before it was written.
async fn expect_life(
    harness: &dyn Harness,
    store: &dyn Store,
    key: &RecordKey,
    before: Instant,
    ttl: Duration,
) {
    until_gone(harness, store, key).await;
    let lived = before.elapsed();
    assert!(
        lived + GRAIN >= ttl,
        "S6: a record with a ttl of {ttl:?} was gone after {lived:?}"
    );
}
