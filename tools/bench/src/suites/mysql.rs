//! `idem-mysql` over MariaDB, beside the same statements sent one by one, by hand.
//!
//! The server flushes every commit (`innodb_flush_log_at_trx_commit = 1`). All statements by hand are
//! prepared. Each side has a pool of 16 connections.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use idem_core::{Idempotency, RecordKey};
use idem_mysql::{MySqlConfig, MySqlStore, Sweeper, Transactional};
use idem_testbed::{Durability, MariaDb};
use sqlx::{MySqlExecutor, MySqlPool, mysql::MySqlPoolOptions};

use super::sql::{self, ANSWER, Rows, is_in, large_cases as large, record_key};
use crate::case::Case;

/// How many connections each side has.
const POOL: u32 = 16;

/// Rows that one statement makes.
const CHUNK: u64 = 100_000;

/// How many rows expire before a row of `sweeping`.
const EXPIRED: u64 = 300_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let server = start().await?;
    let idem = Engine::open(&server, "idem").await?;
    sql::cases(idem, Engine::open(&server, "floor").await?).await
}

pub(crate) async fn large_cases() -> Result<Vec<Case>> {
    let server = start().await?;
    let tables = [
        Engine::open(&server, "large").await?,
        Engine::open(&server, "small").await?,
        Engine::open(&server, "swept").await?,
    ];
    large(tables, EXPIRED)
}

async fn start() -> Result<MariaDb> {
    let builder = MariaDb::builder()
        .durability(Durability::Flushed)
        .setting("innodb-buffer-pool-size", "512M")
        .setting("innodb-log-file-size", "1G");
    Ok(builder.start().await?)
}

struct Engine {
    _server: MariaDb,
    pool: MySqlPool,
    store: MySqlStore,
    idem: Idempotency,
    transactional: Transactional,
    rows: Rows,
}

impl Engine {
    async fn open(server: &MariaDb, database: &str) -> Result<Arc<Self>> {
        server.sql(&format!("CREATE DATABASE {database}"))?;
        let pool = MySqlPoolOptions::new().max_connections(POOL);
        let pool = pool.connect(&server.url_of(database)).await?;
        let store = MySqlStore::with_config(pool.clone(), MySqlConfig::default());
        store.migrate().await?;
        let idem = Idempotency::builder(store.clone()).build()?;
        Ok(Arc::new(Self {
            _server: server.clone(),
            transactional: store.transactional(&idem),
            rows: Rows::new(),
            idem,
            store,
            pool,
        }))
    }

    async fn insert(&self, executor: impl MySqlExecutor<'_>, key: &RecordKey) -> Result<()> {
        let row = &self.rows.claim;
        let insert = "INSERT INTO idem_records VALUES (?, ?, ?, 0, \
            UNIX_TIMESTAMP(NOW(6)) * 1000000, UNIX_TIMESTAMP(NOW(6)) * 1000000 + ?, ?, ?)";
        let insert = sqlx::query(insert)
            .bind(key.key().as_bytes())
            .bind(key.scope().as_bytes())
            .bind(&*row.version)
            .bind(row.ttl_ms * 1000)
            .bind(row.status.as_bytes())
            .bind(&row.body[..]);
        let inserted = insert.execute(executor).await?.rows_affected();
        ensure!(inserted == 1, "a fresh key was there");
        Ok(())
    }

    async fn update(&self, executor: impl MySqlExecutor<'_>, key: &RecordKey) -> Result<()> {
        let row = &self.rows.answer;
        let update = "UPDATE idem_records SET version = ?, \
            updated_at = UNIX_TIMESTAMP(NOW(6)) * 1000000, \
            expires_at = UNIX_TIMESTAMP(NOW(6)) * 1000000 + ?, status = ?, body = ? \
            WHERE `key` = ? AND scope = ? AND version = ?";
        let update = sqlx::query(update)
            .bind(&*row.version)
            .bind(row.ttl_ms * 1000)
            .bind(row.status.as_bytes())
            .bind(&row.body[..])
            .bind(key.key().as_bytes())
            .bind(key.scope().as_bytes())
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
        self.insert(&self.pool, key).await?;
        self.update(&self.pool, key).await
    }

    async fn read(&self, key: &RecordKey) -> Result<bool> {
        let select = "SELECT body FROM idem_records WHERE `key` = ? AND scope = ? \
            AND expires_at > UNIX_TIMESTAMP(NOW(6)) * 1000000";
        let select = sqlx::query_scalar(select)
            .bind(key.key().as_bytes())
            .bind(key.scope().as_bytes());
        let body: Vec<u8> = select.fetch_one(&self.pool).await?;
        Ok(is_in(ANSWER, &body))
    }

    async fn transact(&self, key: &RecordKey) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        self.insert(&mut *tx, key).await?;
        self.update(&mut *tx, key).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn hold(&self, first: u64, rows: u64, ttl: Duration) -> Result<()> {
        let scope = record_key("any".to_owned())?;
        let row = &self.rows.answer;
        for from in (first..first + rows).step_by(usize::try_from(CHUNK)?) {
            let to = (from + CHUNK).min(first + rows) - 1;
            let insert = "INSERT IGNORE INTO idem_records SELECT MD5(seq), ?, ?, 0, \
                UNIX_TIMESTAMP(NOW(6)) * 1000000, UNIX_TIMESTAMP(NOW(6)) * 1000000 + ?, ?, ? \
                FROM seq_0_to_100000000 WHERE seq BETWEEN ? AND ?";
            let insert = sqlx::query(insert)
                .bind(scope.scope().as_bytes())
                .bind(&*row.version)
                .bind(i64::try_from(ttl.as_micros())?)
                .bind(row.status.as_bytes())
                .bind(&row.body[..])
                .bind(from)
                .bind(to);
            insert.execute(&self.pool).await?;
        }
        Ok(())
    }

    async fn held_keys(&self, rows: u64) -> Result<Vec<RecordKey>> {
        let select = "SELECT CAST(MD5(seq) AS CHAR) FROM seq_0_to_100000000 WHERE seq < ?";
        let keys = sqlx::query_scalar(select).bind(rows);
        let keys: Vec<String> = keys.fetch_all(&self.pool).await?;
        keys.into_iter().map(record_key).collect()
    }

    async fn expired(&self) -> Result<i64> {
        let count = "SELECT COUNT(*) FROM idem_records \
            WHERE expires_at <= UNIX_TIMESTAMP(NOW(6)) * 1000000";
        Ok(sqlx::query_scalar(count).fetch_one(&self.pool).await?)
    }
}
