//! A table from which expired rows are swept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use idem_postgres::Sweeper;
use tokio::sync::Mutex;

use super::{super::world::Engine, disturbed::Disturbance};

const EXPIRED: u64 = 1_000_000;

pub(super) struct Swept {
    engine: Arc<Engine>,
    /// The sweeper, and how many expired rows there were when it began.
    sweeper: Mutex<Option<(Sweeper, i64)>>,
    /// The number of the next expired row.
    next: AtomicU64,
}

impl Swept {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            sweeper: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }
}

impl Disturbance for Swept {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    async fn prepare(&self) -> Result<()> {
        let first = self.next.fetch_add(EXPIRED, Ordering::Relaxed);
        self.engine.hold(first, EXPIRED, "0 s").await?;
        self.engine.settle().await
    }

    async fn begin(&self) -> Result<()> {
        let expired = self.engine.expired().await?;
        let at_once = Duration::from_millis(1);
        let sweeper = self.engine.store.sweep_in_background(at_once);
        *self.sweeper.lock().await = Some((sweeper, expired));
        Ok(())
    }

    async fn end(&self) -> Result<()> {
        let Some((sweeper, before)) = self.sweeper.lock().await.take() else {
            return Ok(());
        };
        drop(sweeper);
        let left = self.engine.expired().await?;
        ensure!(left > 0, "the sweep was over before the slice");
        ensure!(left < before, "nothing was swept");
        Ok(())
    }
}
