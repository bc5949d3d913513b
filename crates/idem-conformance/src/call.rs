//! Store calls that have to succeed, and the time that a store is given.

use std::{error::Error, future::Future, iter::successors, sync::Arc, time::Duration};

use futures_util::future::join_all;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::Harness;

/// How long a store may take to find its way back, or a change to show, before a case fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A duration on the harness' machine.
pub(crate) fn scaled(harness: &dyn Harness, duration: Duration) -> Duration {
    duration.mul_f64(harness.time_scale())
}

/// Several handles on the data, as of several processes.
pub(crate) async fn handles(harness: &dyn Harness) -> [Arc<dyn Store>; 4] {
    [
        harness.store().await,
        harness.store().await,
        harness.store().await,
        harness.store().await,
    ]
}

/// Takes the value of a call that nothing stands in the way of.
#[track_caller]
pub(crate) fn ok<T>(what: &str, result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!(
            "{what} failed without a reason: {} ({:?})",
            why(&error),
            error.kind()
        ),
    }
}

/// An error and all its sources, one after the other.
pub(crate) fn why(error: &dyn Error) -> String {
    let sources = successors(error.source(), |&error| error.source());
    sources.fold(error.to_string(), |why, source| {
        format!("{why}: caused by: {source}")
    })
}

/// Files a record under a key that is free.
pub(crate) async fn put(store: &dyn Store, key: &RecordKey, record: &Record, ttl: Duration) {
    let created = ok("create", store.create(key, record, ttl).await);
    assert_eq!(
        created,
        Created::New,
        "S1: a create on an absent key is new"
    );
}

/// Replaces a record at its version.
pub(crate) async fn replace(
    store: &dyn Store,
    key: &RecordKey,
    expected: Version,
    record: &Record,
    ttl: Duration,
) {
    let updated = ok("update", store.update(key, expected, record, ttl).await);
    assert_eq!(
        updated,
        Updated::Done,
        "S2: an update at its version is done"
    );
}

/// Removes a record at its version.
pub(crate) async fn remove(store: &dyn Store, key: &RecordKey, expected: Version) {
    let deleted = ok("delete", store.delete(key, expected).await);
    assert_eq!(
        deleted,
        Deleted::Done,
        "S3: a delete at its version is done"
    );
}

/// What is there.
pub(crate) async fn look(store: &dyn Store, key: &RecordKey) -> Option<Stored> {
    ok("get", store.get(key).await)
}

/// What is there, without its times.
pub(crate) async fn record_at(store: &dyn Store, key: &RecordKey) -> Option<Record> {
    look(store, key).await.map(|stored| stored.record)
}

/// Asserts that exactly this record is there.
pub(crate) async fn expect_record(store: &dyn Store, key: &RecordKey, record: &Record, why: &str) {
    assert_eq!(record_at(store, key).await.as_ref(), Some(record), "{why}");
}

/// Asserts that a conflict tells exactly this record.
#[track_caller]
pub(crate) fn expect_conflict(found: Option<&Stored>, record: Option<&Record>, why: &str) {
    assert_eq!(found.map(|stored| &stored.record), record, "{why}");
}

/// Sends a call that is safe to repeat until the store has found its way back.
pub(crate) async fn when_back<T, F>(
    harness: &dyn Harness,
    what: &str,
    mut call: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let deadline = Instant::now() + scaled(harness, PATIENCE);
    loop {
        let last = match tokio::time::timeout(scaled(harness, CALL), call()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) if error.kind().is_transient() => why(&error),
            Ok(Err(error)) => panic!("{what} failed without a reason: {}", why(&error)),
            Err(_) => "no answer".to_owned(),
        };
        assert!(
            Instant::now() < deadline,
            "{what} still fails, long after the trouble is over: {last}"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How long one call is waited for before it is dropped and sent again.
pub(crate) const CALL: Duration = Duration::from_secs(2);

/// Between two looks.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits for tasks; a panic in one goes on here, in its own words.
pub(crate) async fn all<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let ended = join_all(tasks).await.into_iter();
    ended
        .map(|task| match task {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => panic!("a task of the suite was stopped: {error}"),
            },
        })
        .collect()
}

/// Looks again and again until something shows.
pub(crate) async fn until<T, F>(harness: &dyn Harness, what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + scaled(harness, PATIENCE);
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
