//! A server, and engines over tables of it.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use idem_core::{Failure, Fingerprint, Idempotency, IdempotencyKey, Outcome, RecordKey, Scope};
use idem_postgres::{PostgresConfig, PostgresStore, Transactional};
use idem_testbed::{Durability, Postgres};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use crate::suites::sample::{RECEIPT, Receipt};

pub(super) const ANSWER: &[u8] = br#"{"charge":4711081500017,"amount":500,"captured":true}"#;
pub(super) const FINGERPRINT: [u8; 32] = [7; 32];
pub(super) const TOKEN: [u8; 16] = [7; 16];

/// Long enough that the faster side, which gets as many operations as the slower one, has each of
/// 256 tasks do dozens: a slice begins with all of them at once and ends with the slowest.
pub(super) const SLICE: Duration = Duration::from_secs(2);

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
    pub(super) store: PostgresStore,
    pub(super) transactional: Transactional,
    idem: Idempotency,
    schema: &'static str,
    /// Fresh keys that were given out.
    keys: AtomicU64,
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
            keys: AtomicU64::new(0),
        }))
    }

    /// Makes rows of keys that ended, numbered from `first` on, which expire after so long.
    pub(super) async fn hold(&self, first: u64, rows: u64, expires: &str) -> Result<()> {
        let (schema, answer) = (self.schema, String::from_utf8_lossy(ANSWER));
        for from in (first..first + rows).step_by(usize::try_from(CHUNK)?) {
            let to = (from + CHUNK).min(first + rows) - 1;
            let insert = format!(
                "INSERT INTO {schema}.records (scope, key, status, attempt, token, revision, \
                 fingerprint, payload, created_at, updated_at, expires_at) \
                 SELECT 'merchant-7', md5(n::text)::uuid::text, 'completed', 1, $1, 2, $2, \
                 '{answer}', now(), now(), now() + interval '{expires}' \
                 FROM generate_series({from}, {to}) AS n ON CONFLICT DO NOTHING"
            );
            let insert = sqlx::query(AssertSqlSafe(insert)).bind(TOKEN);
            insert.bind(FINGERPRINT).execute(&self.server.pool).await?;
        }
        Ok(())
    }

    /// Has the server look at the table and write out what it has changed so far.
    pub(super) async fn settle(&self) -> Result<()> {
        self.vacuum().await?;
        sqlx::raw_sql("CHECKPOINT")
            .execute(&self.server.pool)
            .await?;
        Ok(())
    }

    /// Has the server look at the table now, so that it does not do so by itself while it is
    /// measured.
    pub(super) async fn vacuum(&self) -> Result<()> {
        let vacuum = format!("VACUUM ANALYZE {}.records", self.schema);
        sqlx::raw_sql(AssertSqlSafe(vacuum))
            .execute(&self.server.pool)
            .await?;
        Ok(())
    }

    /// How many rows are there that have expired.
    pub(super) async fn expired(&self) -> Result<i64> {
        let count = format!(
            "SELECT count(*) FROM {}.records WHERE expires_at <= clock_timestamp()",
            self.schema
        );
        let count = sqlx::query_scalar(AssertSqlSafe(count));
        Ok(count.fetch_one(&self.server.pool).await?)
    }

    /// The keys that [`hold`](Self::hold) made.
    pub(super) fn held_keys(
        &self,
        first: u64,
        rows: u64,
    ) -> impl Future<Output = Result<Vec<RecordKey>>> {
        let select = "SELECT md5(n::text)::uuid::text FROM generate_series($1, $2) AS n";
        let pool = self.server.pool.clone();
        async move {
            let keys: Vec<String> = sqlx::query_scalar(select)
                .bind(i64::try_from(first)?)
                .bind(i64::try_from(first + rows)? - 1)
                .fetch_all(&pool)
                .await?;
            keys.into_iter().map(record_key).collect()
        }
    }

    /// So many keys that nobody had, spread over the index as random ones are.
    pub(super) fn fresh_keys(&self, keys: usize) -> Result<Vec<RecordKey>> {
        let first = self.keys.fetch_add(keys as u64, Ordering::Relaxed);
        let keys = first..first + keys as u64;
        keys.map(fresh_key).map(record_key).collect()
    }

    pub(super) async fn execute(&self, key: &RecordKey) -> Result<Outcome<Receipt>> {
        let fingerprint = Fingerprint::from_bytes(FINGERPRINT);
        let work = async |_| Ok::<_, Failure<String>>(RECEIPT);
        let executed = self.idem.execute(key, &fingerprint, work).await;
        executed.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

pub(super) fn record_key(key: String) -> Result<RecordKey> {
    Ok(Scope::new("merchant-7")?.key(&IdempotencyKey::new(key)?))
}

fn fresh_key(number: u64) -> String {
    let mixed = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number);
    let hex = format!("{mixed:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}
