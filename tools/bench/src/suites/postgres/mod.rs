//! `idem-postgres`, beside the same statements sent one by one, by hand, over the same pool.
//!
//! The server flushes every commit (`fsync` and `synchronous_commit` are on). The floor writes into
//! a table of the same definition. The floor of `fresh` is one INSERT and one UPDATE, each a commit
//! of its own; that of `replay` one SELECT; that of `once-in-tx` the INSERT and the UPDATE in one
//! transaction. All statements are prepared. Both sides share one pool of 32 connections, as many
//! as a server of moderate size gives one application; `IDEM_BENCH_CONNECTIONS` says otherwise.

mod floor;
mod large;
mod world;

use std::{env, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use idem_core::{Fingerprint, RecordKey};
use sqlx::{PgConnection, Row};

pub(crate) use large::cases as large_cases;
use world::{ANSWER, Engine, FINGERPRINT, SLICE, Server};

use super::sample::RECEIPT;
use crate::case::{Case, Load};

/// Records that are there to be replayed.
const REPLAYED: u64 = 10_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let server = Server::start(connections()?).await?;
    let idem = Engine::open(&server, "idem").await?;
    let floor = Engine::open(&server, "floor").await?;
    for engine in [&idem, &floor] {
        engine.hold(0, REPLAYED, "1 day").await?;
        engine.settle().await?;
    }
    let cases = [
        Case::new("fresh", Fresh(idem.clone()), TwoWrites(floor.clone())),
        Case::new("replay", Replay(idem.clone()), OneRead(floor.clone())),
        Case::new("once-in-tx", Once(idem), OneTransaction(floor)),
    ];
    Ok(cases.into())
}

/// The size of the pool that both sides share.
fn connections() -> Result<u32> {
    match env::var("IDEM_BENCH_CONNECTIONS") {
        Ok(connections) => connections
            .parse()
            .context("IDEM_BENCH_CONNECTIONS is a number"),
        Err(_) => Ok(32),
    }
}

struct Fresh(Arc<Engine>);

impl Load for Fresh {
    type World = Arc<Engine>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Engine>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<Engine>, ops: usize) -> Result<Vec<RecordKey>> {
        engine.fresh_keys(ops)
    }

    async fn op(engine: &Arc<Engine>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = engine.execute(&keys[index]).await?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct TwoWrites(Arc<Engine>);

impl Load for TwoWrites {
    type World = Arc<Engine>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Engine>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<Engine>, ops: usize) -> Result<Vec<RecordKey>> {
        engine.fresh_keys(ops)
    }

    async fn op(engine: &Arc<Engine>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        floor::insert(&engine.server.pool, keys[index].key()).await?;
        floor::update(&engine.server.pool, keys[index].key()).await
    }
}

struct Replay(Arc<Engine>);

impl Load for Replay {
    type World = Arc<Engine>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Engine>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<Engine>, _ops: usize) -> Result<Vec<RecordKey>> {
        engine.held_keys(0, REPLAYED).await
    }

    async fn op(engine: &Arc<Engine>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = engine.execute(&keys[index % keys.len()]).await?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

struct OneRead(Arc<Engine>);

impl Load for OneRead {
    type World = Arc<Engine>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Engine>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<Engine>, _ops: usize) -> Result<Vec<RecordKey>> {
        engine.held_keys(0, REPLAYED).await
    }

    async fn op(engine: &Arc<Engine>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let found = floor::select(&engine.server.pool, keys[index % keys.len()].key()).await?;
        let found = found.context("a key that was written is gone")?;
        let answer: &[u8] = found.try_get(0)?;
        ensure!(answer == ANSWER, "another answer than was written");
        Ok(())
    }
}

struct Once(Arc<Engine>);

impl Load for Once {
    type World = Arc<Engine>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Engine>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<Engine>, ops: usize) -> Result<Vec<RecordKey>> {
        engine.fresh_keys(ops)
    }

    async fn op(engine: &Arc<Engine>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let fingerprint = Fingerprint::from_bytes(FINGERPRINT);
        let work = async |_: &mut PgConnection| Ok::<_, sqlx::Error>(RECEIPT);
        let once = &engine.transactional;
        let once = once.once_in_tx(&keys[index], &fingerprint, work).await;
        let once = once.map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(!once.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct OneTransaction(Arc<Engine>);

impl Load for OneTransaction {
    type World = Arc<Engine>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Engine>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(engine: &Arc<Engine>, ops: usize) -> Result<Vec<RecordKey>> {
        engine.fresh_keys(ops)
    }

    async fn op(engine: &Arc<Engine>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let mut tx = engine.server.pool.begin().await?;
        floor::insert(&mut *tx, keys[index].key()).await?;
        floor::update(&mut *tx, keys[index].key()).await?;
        tx.commit().await?;
        Ok(())
    }
}
