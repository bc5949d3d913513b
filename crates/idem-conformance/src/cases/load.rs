//! S10: many calls at once, and calls on any runtime.

use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use idem_core::{
    RecordKey,
    store::{Created, Record, Store, StoreError},
};
use tokio::{runtime::Builder, sync::oneshot};

use crate::{
    Harness, Verdict,
    call::{PATIENCE, expect_record, handles, ok, put, scaled},
    sample::{self, Keys, LONG},
};

const AT_ONCE: usize = 1_000;

/// **S10.** Of a thousand calls at once through one handle every one ends: they wait for each other,
/// and not in a circle.
pub async fn s10_a_thousand_calls_at_once_all_end(harness: &dyn Harness) -> Verdict {
    let (stores, keys) = (handles(harness).await, Keys::draw(harness));
    let store = &stores[0];
    let written: Vec<_> = (0..AT_ONCE)
        .map(|_| (keys.random(), sample::claim()))
        .collect();
    let creates = written
        .iter()
        .map(|(key, record)| store.create(key, record, LONG));
    for created in each_ends(harness, "creates", creates).await {
        assert_eq!(ok("create", created), Created::New, "S1: it is a new key");
    }
    let gets = written.iter().map(|(key, _)| store.get(key));
    for found in each_ends(harness, "gets", gets).await {
        assert!(ok("get", found).is_some(), "S1: what was created is there");
    }
    Ok(())
}

/// **S10.** A call works on a runtime that has one thread, as on any: it does not block the thread
/// (`block_in_place` panics there), and does not need a second one.
pub async fn s10_calls_work_on_a_runtime_with_one_thread(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let (key, record) = (keys.random(), sample::claim());
    let there = (keys.random(), sample::claim());
    put(&*store, &there.0, &there.1, LONG).await;
    let calls = {
        let (store, key, record) = (store.clone(), key.clone(), record.clone());
        on_one_thread(async move { every_call(store, key, record, there.0).await })
    };
    let told = match tokio::time::timeout(scaled(harness, PATIENCE), calls).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => panic!("S10: a call panics on a runtime with one thread"),
        Err(_) => panic!("S10: a call does not end on a runtime with one thread"),
    };
    ok("a call on a runtime with one thread", told);
    expect_record(&*store, &key, &record, "S1: what was created is there").await;
    Ok(())
}

async fn every_call(
    store: Arc<dyn Store>,
    key: RecordKey,
    record: Record,
    other: RecordKey,
) -> Result<(), StoreError> {
    store.create(&key, &record, LONG).await?;
    let stranger = sample::claim();
    store.get(&key).await?;
    store
        .update(&other, stranger.version, &sample::claim(), LONG)
        .await?;
    store.delete(&other, stranger.version).await?;
    Ok(())
}

/// Runs a future on a thread and a runtime of its own. The error says that it panicked.
fn on_one_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("an operating system that runs tests lets a process have a runtime");
        // Nobody listens any more to what took too long.
        let _ = tell.send(runtime.block_on(work));
    });
    told
}

/// The results of calls that are sent at once, in the order in which they end. Fails when no call
/// ends for longer than any takes.
async fn each_ends<'a, T: 'a>(
    harness: &dyn Harness,
    what: &str,
    calls: impl Iterator<Item = Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
) -> Vec<T> {
    let limit = scaled(harness, PATIENCE);
    let (mut calls, mut ended) = (calls.collect::<FuturesUnordered<_>>(), Vec::new());
    while !calls.is_empty() {
        match tokio::time::timeout(limit, calls.next()).await {
            Ok(result) => ended.extend(result),
            Err(_) => panic!(
                "S10: {} of {AT_ONCE} {what} at once do not end: none did for {limit:?}",
                calls.len()
            ),
        }
    }
    ended
}
