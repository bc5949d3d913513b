//! `idem-postgres` over a large table beside a small one, and beside its own sweeper.
//!
//! In `ten-million` both sides are claim and completion with idem: over a table that holds ten
//! million live rows, and, as the floor, over one that holds ten thousand. `IDEM_BENCH_ROWS` holds
//! fewer. In `sweeping` both sides write into the same table, and the one that is measured does so
//! while a million expired rows are swept from it.

use std::{
    env,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use idem_core::RecordKey;
use idem_postgres::Sweeper;

use super::{
    Fresh,
    world::{Engine, SLICE, Server},
};
use crate::case::{Case, Load};

const FEW: u64 = 10_000;
const MANY: u64 = 10_000_000;
const EXPIRED: u64 = 1_000_000;
const CONNECTIONS: u32 = 10;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let many = match env::var("IDEM_BENCH_ROWS") {
        Ok(rows) => rows.parse().context("IDEM_BENCH_ROWS is a number")?,
        Err(_) => MANY,
    };
    let server = Server::start(CONNECTIONS).await?;
    let large = Engine::open(&server, "large").await?;
    large.hold(0, many, "1 day").await?;
    let small = Engine::open(&server, "small").await?;
    small.hold(0, FEW, "1 day").await?;
    let swept = Arc::new(Swept {
        engine: Engine::open(&server, "swept").await?,
        sweeper: Mutex::default(),
        expired: AtomicU64::new(0),
    });
    for engine in [&large, &small, &swept.engine] {
        engine.settle().await?;
    }
    Ok(vec![
        Case::new("ten-million", Fresh(large), Fresh(small)),
        Case::new("sweeping", Sweeping(swept.clone()), Resting(swept)),
    ])
}

/// A table from which rows are swept now and then.
pub(super) struct Swept {
    engine: Arc<Engine>,
    sweeper: Mutex<Option<Sweeper>>,
    /// The number of the next expired row.
    expired: AtomicU64,
}

impl Swept {
    fn sweep(&self, sweeper: Option<Sweeper>) {
        *self.sweeper.lock().unwrap_or_else(PoisonError::into_inner) = sweeper;
    }

    async fn execute(&self, key: &RecordKey) -> Result<()> {
        self.engine.execute(key).await.map(drop)
    }
}

struct Sweeping(Arc<Swept>);

impl Load for Sweeping {
    type World = Arc<Swept>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;

    async fn world(&self) -> Result<Arc<Swept>> {
        let first = self.0.expired.fetch_add(EXPIRED, Ordering::Relaxed);
        self.0.engine.hold(first, EXPIRED, "0 s").await?;
        self.0.engine.settle().await?;
        Ok(Arc::clone(&self.0))
    }

    async fn batch(swept: &Arc<Swept>, ops: usize) -> Result<Vec<RecordKey>> {
        let at_once = Duration::from_millis(1);
        swept.sweep(Some(swept.engine.store.sweep_in_background(at_once)));
        swept.engine.fresh_keys(ops)
    }

    async fn op(swept: &Arc<Swept>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        swept.execute(&keys[index]).await
    }
}

struct Resting(Arc<Swept>);

impl Load for Resting {
    type World = Arc<Swept>;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Arc<Swept>> {
        Ok(Arc::clone(&self.0))
    }

    async fn batch(swept: &Arc<Swept>, ops: usize) -> Result<Vec<RecordKey>> {
        swept.sweep(None);
        swept.engine.fresh_keys(ops)
    }

    async fn op(swept: &Arc<Swept>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        swept.execute(&keys[index]).await
    }
}
