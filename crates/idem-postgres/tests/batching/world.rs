//! A server of its own for each test, so that what it counts is the test's.

use std::time::Duration;

use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, StoreError, Updated, Version},
};
use idem_postgres::{PostgresConfig, PostgresStore};
use idem_testbed::{FaultyProxy, Postgres, PostgresBuilder, postgres::SqlClient, skip_or_fail};
use tokio::task::JoinHandle;

pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// A store that waits for locks as long as any test takes.
pub(crate) fn patient() -> PostgresConfig {
    PostgresConfig::default()
        .lock_timeout(Duration::from_secs(60))
        .patience(Duration::from_secs(120))
}

pub(crate) struct World {
    pub(crate) server: Postgres,
    pub(crate) proxy: FaultyProxy,
    pub(crate) store: PostgresStore,
}

impl World {
    pub(crate) async fn open() -> Option<Self> {
        Self::with(PostgresConfig::default()).await
    }

    pub(crate) async fn with(config: PostgresConfig) -> Option<Self> {
        Self::over(Postgres::builder(), config).await
    }

    pub(crate) async fn over(server: PostgresBuilder, config: PostgresConfig) -> Option<Self> {
        let server = skip_or_fail(server.start().await)?;
        let proxy = FaultyProxy::start(server.address()).unwrap();
        let url = proxy.url(&server.url());
        // However long the server is paused, nothing is taken back.
        let config = config.send_timeout(LONG).sweep_every(None);
        let store = PostgresStore::connect_with(&url, config).await.unwrap();
        store.migrate().await.unwrap();
        Some(Self {
            server,
            proxy,
            store,
        })
    }

    /// Another process' store.
    pub(crate) async fn elsewhere(&self) -> PostgresStore {
        self.elsewhere_with(PostgresConfig::default()).await
    }

    pub(crate) async fn elsewhere_with(&self, config: PostgresConfig) -> PostgresStore {
        let url = self.server.url();
        PostgresStore::connect_with(&url, config).await.unwrap()
    }

    /// A session past the store.
    pub(crate) fn session(&self) -> SqlClient {
        SqlClient::connect(self.server.address(), "postgres").unwrap()
    }

    pub(crate) fn number(&self, sql: &str) -> u64 {
        let rows = self.server.sql(sql).unwrap();
        rows[0][0].as_ref().unwrap().parse().unwrap()
    }

    /// Submits calls while the server stands still, so that all of them wait for each other. The
    /// first ones travel alone, one in each lane.
    pub(crate) async fn at_once<T: Send + 'static>(
        &self,
        calls: Vec<impl Future<Output = T> + Send + 'static>,
    ) -> Vec<JoinHandle<T>> {
        self.server.pause();
        let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
        self.let_them_queue().await;
        self.server.resume();
        calls
    }

    /// Lets every task run until it waits. The runtime of these tests has one thread.
    pub(crate) async fn let_them_queue(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn all<T>(calls: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

pub(crate) fn key(name: &str) -> RecordKey {
    Scope::global().key(&IdempotencyKey::new(name).unwrap())
}

pub(crate) fn keys(n: usize) -> Vec<RecordKey> {
    (0..n).map(|n| key(&format!("key-{n:04}"))).collect()
}

/// A claim of this attempt by somebody of this number.
pub(crate) fn claim(owner: u8) -> Record {
    Record {
        fingerprint: Fingerprint::of("tests", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([owner; 16]),
            revision: 1,
        },
        created_at: Timestamp::from_millis(1_700_000_000_123),
        state: State::InFlight {
            lease: Duration::from_secs(30),
            checkpoint: None,
        },
    }
}

pub(crate) fn completed(claim: &Record, answer: &'static str) -> Record {
    Record {
        version: Version {
            revision: claim.version.revision + 1,
            ..claim.version
        },
        state: State::Completed {
            payload: answer.into(),
        },
        ..claim.clone()
    }
}

pub(crate) async fn create(
    store: PostgresStore,
    key: RecordKey,
    record: Record,
) -> Result<Created, StoreError> {
    store.create(&key, &record, LONG).await
}

pub(crate) async fn complete(
    store: PostgresStore,
    key: RecordKey,
    claim: Record,
) -> Result<Updated, StoreError> {
    let done = completed(&claim, "answer");
    store.update(&key, claim.version, &done, LONG).await
}
