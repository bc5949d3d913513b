//! `idem-postgres`, beside the same statements sent one by one, by hand, over the same pool.
//!
//! The server flushes every commit (`fsync` and `synchronous_commit` are on). The floor writes into
//! a table of the same definition. The floor of `fresh` is one INSERT and one UPDATE, each a commit
//! of its own; that of `replay` one SELECT; that of `once-in-tx` the INSERT and the UPDATE in one
//! transaction. All statements are prepared.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use idem_core::{Failure, Fingerprint, Idempotency, IdempotencyKey, Outcome, RecordKey, Scope};
use idem_postgres::{PostgresConfig, PostgresStore, Transactional};
use idem_testbed::{Durability, Postgres};
use serde::{Deserialize, Serialize};
use sqlx::{
    PgConnection, PgExecutor, PgPool, Row,
    postgres::{PgPoolOptions, PgRow},
};

use crate::case::{Case, Load};

/// As many as a server of moderate size gives one application.
const CONNECTIONS: u32 = 32;
/// Records that are there to be replayed.
const REPLAYED: usize = 10_000;
/// A hundred commits and more.
const SLICE: Duration = Duration::from_millis(500);
const ANSWER: &[u8] = br#"{"charge":4711081500017,"amount":500,"captured":true}"#;
const FINGERPRINT: [u8; 32] = [7; 32];
const TOKEN: [u8; 16] = [7; 16];

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let bench = Arc::new(Bench::start().await?);
    let cases = [
        Case::new("fresh", Fresh(bench.clone()), TwoWrites(bench.clone())),
        Case::new("replay", Replay(bench.clone()), OneRead(bench.clone())),
        Case::new("once-in-tx", Once(bench.clone()), OneTransaction(bench)),
    ];
    Ok(cases.into())
}

/// The answer of the work, as a small API gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Receipt {
    charge: u64,
    amount: u64,
    captured: bool,
}

const RECEIPT: Receipt = Receipt {
    charge: 4_711_081_500_017,
    amount: 500,
    captured: true,
};

/// One server for all cases: it goes with the last of them.
struct Bench {
    _server: Postgres,
    pool: PgPool,
    idem: Idempotency,
    transactional: Transactional,
    /// Keys that were given out.
    keys: AtomicU64,
    /// The first of the keys that have ended, with idem and without.
    ended: u64,
}

impl Bench {
    async fn start() -> Result<Self> {
        let server = Postgres::builder()
            .durability(Durability::Flushed)
            .setting("max_wal_size", "8GB")
            .setting("shared_buffers", "512MB")
            .start()
            .await?;
        let options = PgPoolOptions::new().max_connections(CONNECTIONS);
        let pool = options.connect(&server.url()).await?;
        let store = PostgresStore::new(pool.clone());
        store.migrate().await?;
        let floor = PostgresConfig::default().schema("floor")?;
        PostgresStore::with_config(pool.clone(), floor)
            .migrate()
            .await?;
        let idem = Idempotency::builder(store.clone()).build()?;
        let mut bench = Self {
            _server: server,
            transactional: store.transactional(&idem),
            idem,
            pool,
            keys: AtomicU64::new(0),
            ended: 0,
        };
        bench.ended = bench.end_some().await?;
        Ok(bench)
    }

    /// Ends the keys that are replayed, in both tables.
    async fn end_some(&self) -> Result<u64> {
        let first = self.take(REPLAYED);
        let keys: Vec<_> = (first..first + REPLAYED as u64).map(key).collect();
        let insert = "INSERT INTO floor.records (scope, key, status, attempt, token, revision, \
             fingerprint, payload, created_at, updated_at, expires_at) \
             SELECT 'merchant-7', key, 'completed', 1, $2, 2, $3, $4, clock_timestamp(), \
             clock_timestamp(), clock_timestamp() + interval '1 day' FROM unnest($1) AS key";
        let insert = sqlx::query(insert).bind(keys).bind(TOKEN);
        let insert = insert.bind(FINGERPRINT).bind(ANSWER);
        insert.execute(&self.pool).await?;
        let copy = "INSERT INTO idem.records SELECT * FROM floor.records";
        sqlx::query(copy).execute(&self.pool).await?;
        Ok(first)
    }

    /// The first of so many keys that nobody had.
    fn take(&self, keys: usize) -> u64 {
        self.keys.fetch_add(keys as u64, Ordering::Relaxed)
    }

    fn fresh_keys(&self, ops: usize) -> Result<Vec<RecordKey>> {
        record_keys(self.take(ops), ops)
    }

    async fn execute(&self, key: &RecordKey) -> Result<Outcome<Receipt>> {
        let fingerprint = Fingerprint::from_bytes(FINGERPRINT);
        let work = async |_| Ok::<_, Failure<String>>(RECEIPT);
        let executed = self.idem.execute(key, &fingerprint, work).await;
        executed.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

fn record_keys(first: u64, keys: usize) -> Result<Vec<RecordKey>> {
    let scope = Scope::new("merchant-7")?;
    let record_key = |number| Ok(scope.key(&IdempotencyKey::new(key(number))?));
    let keys = first..first + keys as u64;
    keys.map(record_key).collect()
}

/// Spread over the index as random keys are, whatever their number.
fn key(number: u64) -> String {
    let mixed = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number);
    let hex = format!("{mixed:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

struct Fresh(Arc<Bench>);

impl Load for Fresh {
    type World = Arc<Bench>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Bench>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(bench: &Arc<Bench>, ops: usize) -> Result<Vec<RecordKey>> {
        bench.fresh_keys(ops)
    }

    async fn op(bench: &Arc<Bench>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = bench.execute(&keys[index]).await?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct TwoWrites(Arc<Bench>);

impl Load for TwoWrites {
    type World = Arc<Bench>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Bench>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(bench: &Arc<Bench>, ops: usize) -> Result<Vec<RecordKey>> {
        bench.fresh_keys(ops)
    }

    async fn op(bench: &Arc<Bench>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        insert(&bench.pool, keys[index].key()).await?;
        update(&bench.pool, keys[index].key()).await
    }
}

struct Replay(Arc<Bench>);

impl Load for Replay {
    type World = Arc<Bench>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Bench>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(bench: &Arc<Bench>, _ops: usize) -> Result<Vec<RecordKey>> {
        record_keys(bench.ended, REPLAYED)
    }

    async fn op(bench: &Arc<Bench>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = bench.execute(&keys[index % REPLAYED]).await?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

struct OneRead(Arc<Bench>);

impl Load for OneRead {
    type World = Arc<Bench>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Bench>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(bench: &Arc<Bench>, _ops: usize) -> Result<Vec<RecordKey>> {
        record_keys(bench.ended, REPLAYED)
    }

    async fn op(bench: &Arc<Bench>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let found = select(&bench.pool, keys[index % REPLAYED].key()).await?;
        let found = found.context("a key that was written is gone")?;
        let answer: &[u8] = found.try_get(0)?;
        ensure!(answer == ANSWER, "another answer than was written");
        Ok(())
    }
}

struct Once(Arc<Bench>);

impl Load for Once {
    type World = Arc<Bench>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Bench>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(bench: &Arc<Bench>, ops: usize) -> Result<Vec<RecordKey>> {
        bench.fresh_keys(ops)
    }

    async fn op(bench: &Arc<Bench>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let fingerprint = Fingerprint::from_bytes(FINGERPRINT);
        let work = async |_: &mut PgConnection| Ok::<_, sqlx::Error>(RECEIPT);
        let once = &bench.transactional;
        let once = once.once_in_tx(&keys[index], &fingerprint, work).await;
        let once = once.map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(!once.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct OneTransaction(Arc<Bench>);

impl Load for OneTransaction {
    type World = Arc<Bench>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Bench>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(bench: &Arc<Bench>, ops: usize) -> Result<Vec<RecordKey>> {
        bench.fresh_keys(ops)
    }

    async fn op(bench: &Arc<Bench>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let mut tx = bench.pool.begin().await?;
        insert(&mut *tx, keys[index].key()).await?;
        update(&mut *tx, keys[index].key()).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn insert(executor: impl PgExecutor<'_>, key: &str) -> Result<()> {
    let insert = "INSERT INTO floor.records (scope, key, status, attempt, token, revision, \
         fingerprint, lease_ms, created_at, updated_at, expires_at) \
         VALUES ('merchant-7', $1, 'in-flight', 1, $2, 1, $3, 30000, clock_timestamp(), \
         clock_timestamp(), clock_timestamp() + interval '1 day') ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert).bind(key).bind(TOKEN).bind(FINGERPRINT);
    let inserted = insert.execute(executor).await?.rows_affected();
    ensure!(inserted == 1, "a fresh key was there");
    Ok(())
}

async fn update(executor: impl PgExecutor<'_>, key: &str) -> Result<()> {
    let update = "UPDATE floor.records SET status = 'completed', revision = 2, lease_ms = NULL, \
         payload = $2, updated_at = clock_timestamp(), \
         expires_at = clock_timestamp() + interval '1 day' \
         WHERE scope = 'merchant-7' AND key = $1 AND token = $3 AND revision = 1";
    let update = sqlx::query(update).bind(key).bind(ANSWER).bind(TOKEN);
    let updated = update.execute(executor).await?.rows_affected();
    ensure!(updated == 1, "a key that was written is gone");
    Ok(())
}

async fn select(executor: impl PgExecutor<'_>, key: &str) -> Result<Option<PgRow>> {
    let select = "SELECT payload, fingerprint FROM floor.records \
         WHERE scope = 'merchant-7' AND key = $1 AND expires_at > clock_timestamp()";
    Ok(sqlx::query(select)
        .bind(key)
        .fetch_optional(executor)
        .await?)
}
