//! `idem-postgres` over a large table beside a small one, beside its own sweeper, and beside a
//! transaction that does not end.
//!
//! On both sides it is claim and completion with idem. In `ten-million` over a table that holds ten
//! million live rows, and, as the floor, over one that holds ten thousand; `IDEM_BENCH_ROWS` holds
//! fewer. In the others over one table, and the side that is measured does so while a million
//! expired rows are swept from it, or while a transaction holds a key that others ask for.

mod disturbed;
mod held;
mod swept;

use std::{env, sync::Arc};

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use super::{
    Fresh, connections,
    world::{Engine, Server},
};
use crate::case::{Case, Load};
use disturbed::{Disturbed, Undisturbed};
use held::Held;
use swept::Swept;

const FEW: u64 = 10_000;
const MANY: u64 = 10_000_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let many = match env::var("IDEM_BENCH_ROWS") {
        Ok(rows) => rows.parse().context("IDEM_BENCH_ROWS is a number")?,
        Err(_) => MANY,
    };
    let server = Server::start(connections()?).await?;
    let large = Full::new(&server, "large", many).await?;
    let small = Full::new(&server, "small", FEW).await?;
    let swept = Arc::new(Swept::new(Engine::open(&server, "swept").await?));
    let held = Arc::new(Held::new(Engine::open(&server, "held").await?));
    Ok(vec![
        Case::new("ten-million", large, small),
        Case::new("sweeping", Disturbed(swept.clone()), Undisturbed(swept)),
        Case::new("held-key", Disturbed(held.clone()), Undisturbed(held)),
    ])
}

/// Claim and completion over a table that holds so many live rows.
struct Full {
    engine: Arc<Engine>,
    rows: u64,
    filled: OnceCell<()>,
}

impl Full {
    async fn new(server: &Arc<Server>, schema: &'static str, rows: u64) -> Result<Self> {
        Ok(Self {
            engine: Engine::open(server, schema).await?,
            rows,
            filled: OnceCell::new(),
        })
    }

    /// The last tenth comes after the checkpoint, so that the measuring does not: the first write
    /// to a page after a checkpoint logs the whole page, and the index of the large table has a
    /// thousand times the pages of the small one, each to be met once.
    async fn fill(&self) -> Result<()> {
        let last = self.rows / 10;
        self.engine.hold(0, self.rows - last, "1 day").await?;
        self.engine.settle().await?;
        self.engine.hold(self.rows - last, last, "1 day").await?;
        self.engine.vacuum().await
    }
}

impl Load for Full {
    type World = <Fresh as Load>::World;
    type Batch = <Fresh as Load>::Batch;
    const SLICE: std::time::Duration = Fresh::SLICE;

    async fn world(&self) -> Result<Self::World> {
        self.filled.get_or_try_init(|| self.fill()).await?;
        Ok(Arc::clone(&self.engine))
    }

    async fn batch(engine: &Self::World, ops: usize) -> Result<Self::Batch> {
        Fresh::batch(engine, ops).await
    }

    async fn op(engine: &Self::World, keys: &Self::Batch, index: usize) -> Result<()> {
        Fresh::op(engine, keys, index).await
    }
}
