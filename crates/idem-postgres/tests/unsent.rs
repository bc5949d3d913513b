//! What a user of an engine sees of calls that the store could not send in time: they are asked again,
//! and leave nothing behind (S9).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    Claim, Fingerprint, Idempotency, IdempotencyKey, RecordKey, Scope,
    store::{
        Created, Deleted, Record, Store, StoreError, StoreErrorKind, Stored, Updated, Version,
    },
};
use idem_postgres::{PostgresConfig, PostgresStore};
use idem_testbed::{Postgres, skip_or_fail};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tells of each create that fails, and counts deletes.
#[derive(Clone)]
struct Watched {
    store: PostgresStore,
    failed: UnboundedSender<StoreErrorKind>,
    deletes: Arc<AtomicUsize>,
}

#[async_trait]
impl Store for Watched {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let created = self.store.create(key, record, ttl).await;
        if let Err(error) = &created {
            self.failed.send(error.kind()).unwrap();
        }
        created
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.store.update(key, expected, record, ttl).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.deletes.fetch_add(1, Ordering::SeqCst);
        self.store.delete(key, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.store.get(key).await
    }
}

struct Slow {
    server: Postgres,
    store: Watched,
    idem: Idempotency,
    failed: UnboundedReceiver<StoreErrorKind>,
}

/// A server that stands still, and an engine with the default policy over a store with the default
/// knobs that has no connection to it yet.
async fn standing_still() -> Option<Slow> {
    let server = skip_or_fail(Postgres::start().await)?;
    let (url, config) = (server.url(), PostgresConfig::default().sweep_every(None));
    let store = PostgresStore::connect_with(&url, config.clone()).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    let (sender, failed) = unbounded_channel();
    let store = Watched {
        store: PostgresStore::with_config(store.pool().clone(), config),
        failed: sender,
        deletes: Arc::default(),
    };
    let idem = Idempotency::new(store.clone());
    server.pause();
    Some(Slow {
        server,
        store,
        idem,
        failed,
    })
}

fn request() -> (RecordKey, Fingerprint) {
    let key = Scope::global().key(&IdempotencyKey::random());
    (key, Fingerprint::of("test/v1", b"a"))
}

#[tokio::test]
async fn s9_a_claim_that_was_not_sent_in_time_is_asked_again_and_runs() {
    let Some(mut slow) = standing_still().await else {
        return;
    };
    let mut claiming = tokio::spawn(async move {
        let (key, print) = request();
        slow.idem.claim(&key, &print).await
    });
    tokio::select! {
        failed = slow.failed.recv() => assert_eq!(failed, Some(StoreErrorKind::Unavailable)),
        claimed = &mut claiming => panic!("the store told nothing in time: {claimed:?}"),
    }
    slow.server.resume();
    match claiming.await.unwrap().unwrap() {
        Claim::Acquired(execution) => {
            assert_eq!(execution.attempt(), 1);
            execution.complete("ok").await.unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// Nothing need be taken back of what was certainly not applied.
#[tokio::test]
async fn s9_a_claim_that_was_never_sent_fails_with_certainty_and_leaves_nothing_to_do() {
    let Some(slow) = standing_still().await else {
        return;
    };
    let (key, print) = request();
    let error = slow.idem.claim(&key, &print).await.unwrap_err();
    assert_eq!(error.source.kind(), StoreErrorKind::Unavailable, "{error}");
    slow.server.resume();
    slow.idem.wait_idle().await;
    assert_eq!(slow.store.deletes.load(Ordering::SeqCst), 0);
    assert_eq!(slow.idem.lookup(&key).await.unwrap(), None);
}
