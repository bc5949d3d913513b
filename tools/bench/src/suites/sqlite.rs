//! `idem-sqlite`, beside the same statements one by one, by hand.
//!
//! Every commit waits for the disk (`synchronous = FULL`), and the files are in the temporary folder, or
//! where `IDEM_BENCH_FOLDER` says: the disk in question. By hand, one connection writes and eight read.

use std::{env, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use idem_core::{Idempotency, RecordKey};
use idem_sqlite::{SqliteConfig, SqliteStore, Sweeper, Transactional};
use sqlx::{
    SqliteExecutor, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;

use super::sql::{self, ANSWER, Rows, is_in, large_cases as large, record_key};
use crate::case::Case;

/// How many connections read by hand.
const READERS: u32 = 8;

/// How long to wait for a connection, or for the lock: 256 tasks take turns.
const PATIENCE: Duration = Duration::from_secs(60);

/// When rows by hand expire, by a clock that only the store knows.
const FAR_AWAY: i64 = i64::MAX / 2;

/// Rows that one statement makes.
const CHUNK: u64 = 100_000;

/// How many rows expire before a row of `sweeping`.
const EXPIRED: u64 = 300_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    sql::cases(Engine::open().await?, Engine::open().await?).await
}

pub(crate) async fn large_cases() -> Result<Vec<Case>> {
    let files = [
        Engine::open().await?,
        Engine::open().await?,
        Engine::open().await?,
    ];
    large(files, EXPIRED)
}

struct Engine {
    store: SqliteStore,
    idem: Idempotency,
    transactional: Transactional,
    writer: SqlitePool,
    readers: SqlitePool,
    rows: Rows,
    _folder: TempDir,
}

impl Engine {
    async fn open() -> Result<Arc<Self>> {
        let folder = match env::var_os("IDEM_BENCH_FOLDER") {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let file = folder.path().join("idem.db");
        let config = SqliteConfig::default()
            .sweep_every(None)
            .send_timeout(PATIENCE)
            .busy_timeout(PATIENCE);
        let url = format!("sqlite:{}", file.display());
        let store = SqliteStore::connect_with(&url, config).await?;
        let pool = |connections| {
            let options = SqliteConnectOptions::new()
                .filename(&file)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(PATIENCE);
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options)
        };
        let idem = Idempotency::builder(store.clone()).build()?;
        Ok(Arc::new(Self {
            transactional: store.transactional(&idem),
            writer: pool(1),
            readers: pool(READERS),
            rows: Rows::new(),
            _folder: folder,
            idem,
            store,
        }))
    }

    async fn insert(&self, executor: impl SqliteExecutor<'_>, key: &RecordKey) -> Result<()> {
        let row = &self.rows.claim;
        let insert = "INSERT INTO idem_records VALUES (?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(insert)
            .bind(key.key())
            .bind(key.scope())
            .bind(&*row.version)
            .bind(FAR_AWAY)
            .bind(row.status)
            .bind(&row.body[..]);
        let inserted = insert.execute(executor).await?.rows_affected();
        ensure!(inserted == 1, "a fresh key was there");
        Ok(())
    }

    async fn update(&self, executor: impl SqliteExecutor<'_>, key: &RecordKey) -> Result<()> {
        let row = &self.rows.answer;
        let update = "UPDATE idem_records SET version = ?, updated_at = 1, expires_at = ?, \
            status = ?, body = ? WHERE key = ? AND scope = ? AND version = ?";
        let update = sqlx::query(update)
            .bind(&*row.version)
            .bind(FAR_AWAY)
            .bind(row.status)
            .bind(&row.body[..])
            .bind(key.key())
            .bind(key.scope())
            .bind(&*self.rows.claim.version);
        let updated = update.execute(executor).await?.rows_affected();
        ensure!(updated == 1, "a key that was written is gone");
        Ok(())
    }
}

impl sql::Engine for Engine {
    fn idem(&self) -> &Idempotency {
        &self.idem
    }

    async fn once(&self, key: &RecordKey) -> Result<bool> {
        sql::once(&self.transactional, key, &self.fingerprint()).await
    }

    fn sweep(&self, period: Duration) -> Sweeper {
        self.store.sweep_in_background(period)
    }

    async fn write_twice(&self, key: &RecordKey) -> Result<()> {
        self.insert(&self.writer, key).await?;
        self.update(&self.writer, key).await
    }

    async fn read(&self, key: &RecordKey) -> Result<bool> {
        let select = "SELECT body FROM idem_records WHERE key = ? AND scope = ?";
        let select = sqlx::query_scalar(select).bind(key.key()).bind(key.scope());
        let body: Vec<u8> = select.fetch_one(&self.readers).await?;
        Ok(is_in(ANSWER, &body))
    }

    async fn transact(&self, key: &RecordKey) -> Result<()> {
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.insert(&mut *tx, key).await?;
        self.update(&mut *tx, key).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn hold(&self, first: u64, rows: u64, ttl: Duration) -> Result<()> {
        let scope = record_key("any".to_owned())?;
        let row = &self.rows.answer;
        for from in (first..first + rows).step_by(usize::try_from(CHUNK)?) {
            let count = CHUNK.min(first + rows - from);
            let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
                INSERT INTO idem_records SELECT lower(hex(randomblob(16))), ?, ?, seen_ms, \
                seen_ms + ?, ?, ? FROM n, idem_clock";
            let insert = sqlx::query(insert)
                .bind(i64::try_from(count)?)
                .bind(scope.scope())
                .bind(&*row.version)
                .bind(i64::try_from(ttl.as_millis())?)
                .bind(row.status)
                .bind(&row.body[..]);
            insert.execute(&self.writer).await?;
        }
        Ok(())
    }

    async fn held_keys(&self, rows: u64) -> Result<Vec<RecordKey>> {
        let select = "SELECT key FROM idem_records WHERE length(key) = 32 LIMIT ?";
        let keys = sqlx::query_scalar(select).bind(i64::try_from(rows)?);
        let keys: Vec<String> = keys.fetch_all(&self.readers).await?;
        keys.into_iter().map(record_key).collect()
    }

    async fn expired(&self) -> Result<i64> {
        let count = "SELECT count(*) FROM idem_records, idem_clock WHERE expires_at <= seen_ms";
        Ok(sqlx::query_scalar(count).fetch_one(&self.readers).await?)
    }

    async fn settle(&self) -> Result<()> {
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
        checkpoint.execute(&self.writer).await?;
        Ok(())
    }
}
