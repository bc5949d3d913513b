//! S9: of a server that is away it is certain that nothing was applied, unless a call was sent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use idem_core::{
    IdempotencyKey, RecordKey, Scope,
    store::{Store, StoreErrorKind},
};
use idem_postgres::{PostgresConfig, PostgresStore};
use idem_testbed::{Postgres, skip_or_fail};

fn fresh() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

async fn open(config: PostgresConfig) -> Option<(Postgres, PostgresStore)> {
    let server = skip_or_fail(Postgres::start().await)?;
    let (url, config) = (server.url(), config.sweep_every(None));
    let store = PostgresStore::connect_with(&url, config).await.unwrap();
    store.migrate().await.unwrap();
    Some((server, store))
}

/// Without waiting for it to come back: its callers know best how long to go on.
#[tokio::test]
async fn s9_a_server_that_refuses_connections_is_told_at_once() {
    let never = Duration::from_secs(3600);
    let config = PostgresConfig::default();
    let config = config.send_timeout(never).patience(never);
    let Some((server, store)) = open(config).await else {
        return;
    };
    server.kill();
    // The connection that is there breaks under the first call, which may have been sent.
    let _ = store.get(&fresh()).await;
    for _ in 0..10 {
        let error = store.get(&fresh()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn s9_calls_that_a_silent_server_was_not_sent_are_taken_back() {
    let config = PostgresConfig::default();
    let config = config.send_timeout(Duration::from_millis(50));
    let config = config.patience(Duration::from_secs(2));
    let Some((server, store)) = open(config).await else {
        return;
    };
    server.pause();
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&fresh()).await.unwrap_err() })
        })
        .collect();
    let mut certain = 0;
    for call in calls {
        let error = call.await.unwrap();
        certain += usize::from(error.kind() == StoreErrorKind::Unavailable);
    }
    // At most one statement of 256 calls is under way in each lane, and the first has one call.
    assert!(certain > 100, "{certain} of 500 are certain");
    server.resume();
    assert_eq!(store.get(&fresh()).await.unwrap(), None);
}
