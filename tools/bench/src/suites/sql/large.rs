//! A table of so many live rows.

use std::{env, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use idem_core::RecordKey;
use tokio::sync::OnceCell;

use super::{DAY, Disturbed, Engine, Fresh, Swept, Undisturbed};
use crate::case::{Case, Load};

/// The rows of the small table.
pub(in crate::suites) const FEW: u64 = 10_000;

/// The rows of the large table: so many, unless `IDEM_BENCH_ROWS` says otherwise.
pub(in crate::suites) fn rows(usually: u64) -> Result<u64> {
    match env::var("IDEM_BENCH_ROWS") {
        Ok(rows) => rows.parse().context("IDEM_BENCH_ROWS is a number"),
        Err(_) => Ok(usually),
    }
}

/// Claim and completion over a table that holds so many live rows.
pub(in crate::suites) struct Full<E> {
    engine: Arc<E>,
    rows: u64,
    filled: OnceCell<()>,
}

impl<E: Engine> Full<E> {
    pub(in crate::suites) fn new(engine: Arc<E>, rows: u64) -> Self {
        Self {
            engine,
            rows,
            filled: OnceCell::new(),
        }
    }

    /// The last tenth comes after the database has written out what it had, so that the measuring does
    /// not: in PostgreSQL the first write to a page after a checkpoint logs the whole page, and the
    /// index of the large table has many more pages than the small one's, each to be met once.
    async fn fill(&self) -> Result<()> {
        let last = self.rows / 10;
        self.engine.hold(0, self.rows - last, DAY).await?;
        self.engine.settle().await?;
        self.engine.hold(self.rows - last, last, DAY).await
    }
}

/// A million rows beside ten thousand, and the same table with and without a sweep.
pub(in crate::suites) fn cases<E: Engine>(
    [large, small, swept]: [Arc<E>; 3],
    expired: u64,
) -> Result<Vec<Case>> {
    let large = Full::new(large, rows(1_000_000)?);
    let small = Full::new(small, FEW);
    let swept = Arc::new(Swept::new(swept, expired));
    Ok(vec![
        Case::new("million", large, small),
        Case::new("sweeping", Disturbed(swept.clone()), Undisturbed(swept)),
    ])
}

impl<E: Engine> Load for Full<E> {
    type World = Arc<E>;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = super::SLICE;

    async fn world(&self) -> Result<Arc<E>> {
        self.filled.get_or_try_init(|| self.fill()).await?;
        Ok(Arc::clone(&self.engine))
    }

    async fn batch(engine: &Arc<E>, ops: usize) -> Result<Vec<RecordKey>> {
        Fresh::batch(engine, ops).await
    }

    async fn op(engine: &Arc<E>, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        Fresh::op(engine, keys, index).await
    }
}
