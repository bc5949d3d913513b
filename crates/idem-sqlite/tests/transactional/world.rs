//! A file with a table of payments, and the transactional mode over it.

use std::{path::PathBuf, time::Duration};

use idem_core::{
    Claim, Execution, Fingerprint, Idempotency, IdempotencyKey, Policy, RecordKey, Scope,
};
use idem_sqlite::{SqliteConfig, SqliteStore, Transactional};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, SqlitePool, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

/// A file of its own.
pub(crate) struct World {
    folder: TempDir,
    store: SqliteStore,
    pub(crate) transactional: Transactional,
    pub(crate) key: RecordKey,
    pub(crate) fingerprint: Fingerprint,
}

/// The lease of the policies here: longer than any test.
pub(crate) const LEASE: Duration = Duration::from_secs(300);

impl World {
    pub(crate) async fn open() -> Self {
        let limit = Duration::from_secs(60);
        Self::with(SqliteConfig::default().transaction_limit(limit)).await
    }

    pub(crate) async fn with(config: SqliteConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("app.db").display());
        let store = SqliteStore::connect_with(&url, config).await.unwrap();
        let world = Self {
            transactional: transactional(&store),
            folder,
            store,
            fingerprint: Fingerprint::of("payments/v1", b"500 usd"),
            key: Scope::global().key(&IdempotencyKey::random()),
        };
        world
            .sql("CREATE TABLE payments (reference TEXT NOT NULL)")
            .await;
        world
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    /// Another handle, as another process would have it.
    pub(crate) async fn elsewhere(&self) -> Transactional {
        let url = format!("sqlite:{}", self.file().display());
        let minute = Duration::from_secs(60);
        let config = SqliteConfig::default().busy_timeout(minute);
        let store = SqliteStore::connect_with(&url, config).await.unwrap();
        transactional(&store)
    }

    pub(crate) fn store(&self) -> &SqliteStore {
        &self.store
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        self.store.pool()
    }

    /// A connection past the store.
    pub(crate) async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.file())
            .busy_timeout(Duration::from_secs(60));
        sqlx::ConnectOptions::connect(&options).await.unwrap()
    }

    /// The first column of a statement past the store.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<String> {
        let mut connection = self.raw().await;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        let rows = query.fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Claims the key as whoever takes no part in a transaction does.
    pub(crate) async fn claim(&self) -> Claim {
        let engine = self.transactional.engine();
        engine.claim(&self.key, &self.fingerprint).await.unwrap()
    }

    /// [`claim`](Self::claim) of a key that is free.
    pub(crate) async fn acquire(&self) -> Execution {
        match self.claim().await {
            Claim::Acquired(execution) => execution,
            other => panic!("the key is free: {other:?}"),
        }
    }

    /// How many payments were committed.
    pub(crate) async fn payments(&self) -> usize {
        self.sql("SELECT reference FROM payments").await.len()
    }

    /// The status of the one record.
    pub(crate) async fn record(&self) -> Option<String> {
        let record = self.sql("SELECT status FROM idem_records").await;
        assert!(record.len() <= 1, "one key has one record");
        record.into_iter().next()
    }

    /// What another process does when the lease of this execution is over: it takes the key over.
    pub(crate) async fn take_over(&self) {
        let found = self.transactional.engine().lookup(&self.key).await;
        let mut record = found.unwrap().unwrap().record;
        let expected = record.version;
        record.attempt += 1;
        record.version.token = idem_core::store::ClaimToken::from_bytes([9; 16]);
        let updated =
            idem_core::store::Store::update(&self.store, &self.key, expected, &record, LEASE);
        assert_eq!(updated.await.unwrap(), idem_core::store::Updated::Done);
    }
}

pub(crate) fn transactional(store: &SqliteStore) -> Transactional {
    let policy = Policy::default().lease(LEASE);
    let idem = Idempotency::builder(store.clone()).policy(policy);
    store.transactional(&idem.build().unwrap())
}

/// The user's work: one row.
pub(crate) async fn pay(tx: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    sqlx::query("INSERT INTO payments VALUES ('p-1')")
        .execute(tx)
        .await?;
    Ok("p-1".to_owned())
}

/// An error of the work that is no error of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told(pub(crate) &'static str);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Told {}
