//! Expired records give their room back by themselves, and no others do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Store, Sweep, Version},
};
use idem_sqlite::{SqliteConfig, SqliteStore};

fn key() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

fn record() -> Record {
    Record {
        fingerprint: Fingerprint::of("tests", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([1; 16]),
            revision: 1,
        },
        created_at: Timestamp::from_millis(0),
        state: State::Retryable { checkpoint: None },
    }
}

async fn open(folder: &tempfile::TempDir, period: Option<Duration>) -> SqliteStore {
    let url = format!("sqlite:{}", folder.path().join("app.db").display());
    let config = SqliteConfig::default()
        .busy_timeout(Duration::from_secs(60))
        .send_timeout(Duration::from_secs(60))
        .sweep_every(period);
    SqliteStore::connect_with(&url, config).await.unwrap()
}

async fn rows(store: &SqliteStore) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM idem_records");
    count.fetch_one(store.pool()).await.unwrap()
}

async fn file(store: &SqliteStore, keys: &[RecordKey], ttl: Duration) {
    let record = record();
    let creates = keys.iter().map(|key| store.create(key, &record, ttl));
    for created in futures_util::future::join_all(creates).await {
        created.unwrap();
    }
}

#[tokio::test]
async fn a_store_sweeps_by_itself_and_leaves_the_living() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(Duration::from_millis(20))).await;
    let living: Vec<_> = (0..50).map(|_| key()).collect();
    let dead: Vec<_> = (0..50).map(|_| key()).collect();
    file(&store, &living, Duration::from_secs(3600)).await;
    file(&store, &dead, Duration::from_millis(1)).await;
    while rows(&store).await > 50 {}
    for key in &living {
        assert!(store.get(key).await.unwrap().is_some(), "S6: it stays");
    }
}

#[tokio::test]
async fn a_sweep_goes_around_a_table_of_several_steps_and_keeps_to_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    let dead: Vec<_> = (0..5000).map(|_| key()).collect();
    file(&store, &dead, Duration::from_millis(1)).await;
    let mut swept = 0;
    while swept < 5000 {
        let some = store.sweep(700).await.unwrap();
        assert!(some <= 700, "{some}");
        swept += some;
    }
    assert_eq!(rows(&store).await, 0);
    assert_eq!(store.sweep(700).await.unwrap(), 0);
}
