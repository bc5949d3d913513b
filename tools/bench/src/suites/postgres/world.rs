//! A server, and engines over tables of it.

use std::{env, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use idem_core::{Fingerprint, Idempotency, RecordKey};
use idem_postgres::{PostgresConfig, PostgresStore, Sweeper, Transactional};
use idem_testbed::{Durability, Postgres};
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgPoolOptions};

use super::floor;
use crate::suites::sql::{self, ANSWER, record_key};

pub(super) const FINGERPRINT: [u8; 32] = [7; 32];
pub(super) const TOKEN: [u8; 16] = [7; 16];

/// Rows that one statement makes.
const CHUNK: u64 = 250_000;

/// One server: it goes with the last of the engines over it.
pub(super) struct Server {
    _postgres: Postgres,
    pub(super) pool: PgPool,
}

impl Server {
    /// Flushes every commit. `connections` is the size of the pool that all sides share.
    /// `IDEM_BENCH_SETTINGS` has more of the server's settings, as `name=value,name=value`.
    pub(super) async fn start(connections: u32) -> Result<Arc<Self>> {
        let mut postgres = Postgres::builder()
            .durability(Durability::Flushed)
            .setting("shared_buffers", "512MB")
            .setting("max_wal_size", "4GB");
        let settings = env::var("IDEM_BENCH_SETTINGS").unwrap_or_default();
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting
                .split_once('=')
                .context("IDEM_BENCH_SETTINGS has name=value, with commas between")?;
            postgres = postgres.setting(name, value);
        }
        let postgres = postgres.start().await?;
        let pool = PgPoolOptions::new().max_connections(connections);
        Ok(Arc::new(Self {
            pool: pool.connect(&postgres.url()).await?,
            _postgres: postgres,
        }))
    }
}

/// An engine over a table of its own.
pub(super) struct Engine {
    pub(super) server: Arc<Server>,
    store: PostgresStore,
    pub(super) transactional: Transactional,
    idem: Idempotency,
    schema: &'static str,
}

impl Engine {
    pub(super) async fn open(server: &Arc<Server>, schema: &'static str) -> Result<Arc<Self>> {
        let config = PostgresConfig::default().schema(schema)?;
        let store = PostgresStore::with_config(server.pool.clone(), config);
        store.migrate().await?;
        let idem = Idempotency::builder(store.clone()).build()?;
        Ok(Arc::new(Self {
            server: Arc::clone(server),
            transactional: store.transactional(&idem),
            idem,
            store,
            schema,
        }))
    }
}

impl sql::Engine for Engine {
    fn idem(&self) -> &Idempotency {
        &self.idem
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_bytes(FINGERPRINT)
    }

    async fn once(&self, key: &RecordKey) -> Result<bool> {
        sql::once(&self.transactional, key, &self.fingerprint()).await
    }

    fn sweep(&self, period: Duration) -> Sweeper {
        self.store.sweep_in_background(period)
    }

    async fn write_twice(&self, key: &RecordKey) -> Result<()> {
        floor::insert(&self.server.pool, key.key()).await?;
        floor::update(&self.server.pool, key.key()).await
    }

    async fn read(&self, key: &RecordKey) -> Result<bool> {
        let found = floor::select(&self.server.pool, key.key()).await?;
        let found = found.context("a key that was written is gone")?;
        let answer: &[u8] = found.try_get(0)?;
        Ok(answer == ANSWER)
    }

    async fn transact(&self, key: &RecordKey) -> Result<()> {
        let mut tx = self.server.pool.begin().await?;
        floor::insert(&mut *tx, key.key()).await?;
        floor::update(&mut *tx, key.key()).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn hold(&self, first: u64, rows: u64, ttl: Duration) -> Result<()> {
        let (schema, answer) = (self.schema, String::from_utf8_lossy(ANSWER));
        for from in (first..first + rows).step_by(usize::try_from(CHUNK)?) {
            let to = (from + CHUNK).min(first + rows) - 1;
            let insert = format!(
                "INSERT INTO {schema}.records (scope, key, status, attempt, token, revision, \
                 fingerprint, payload, created_at, updated_at, expires_at) \
                 SELECT 'merchant-7', md5(n::text)::uuid::text, 'completed', 1, $1, 2, $2, \
                 '{answer}', now(), now(), now() + interval '{} s' \
                 FROM generate_series({from}, {to}) AS n ON CONFLICT DO NOTHING",
                ttl.as_secs()
            );
            let insert = sqlx::query(AssertSqlSafe(insert)).bind(TOKEN);
            insert.bind(FINGERPRINT).execute(&self.server.pool).await?;
        }
        self.vacuum().await
    }

    async fn held_keys(&self, rows: u64) -> Result<Vec<RecordKey>> {
        let select = "SELECT md5(n::text)::uuid::text FROM generate_series(0, $1 - 1) AS n";
        let keys = sqlx::query_scalar(select).bind(i64::try_from(rows)?);
        let keys: Vec<String> = keys.fetch_all(&self.server.pool).await?;
        keys.into_iter().map(record_key).collect()
    }

    async fn expired(&self) -> Result<i64> {
        let count = format!(
            "SELECT count(*) FROM {}.records WHERE expires_at <= clock_timestamp()",
            self.schema
        );
        let count = sqlx::query_scalar(AssertSqlSafe(count));
        Ok(count.fetch_one(&self.server.pool).await?)
    }

    async fn settle(&self) -> Result<()> {
        self.vacuum().await?;
        sqlx::raw_sql("CHECKPOINT")
            .execute(&self.server.pool)
            .await?;
        Ok(())
    }
}

impl Engine {
    /// Has the server look at the table now, so that it does not do so by itself while it is
    /// measured.
    async fn vacuum(&self) -> Result<()> {
        let vacuum = format!("VACUUM ANALYZE {}.records", self.schema);
        sqlx::raw_sql(AssertSqlSafe(vacuum))
            .execute(&self.server.pool)
            .await?;
        Ok(())
    }
}
