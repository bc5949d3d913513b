//! A table from which expired rows are swept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use idem_sql::Sweeper;
use tokio::sync::Mutex;

use super::{Disturbance, Engine};

pub(in crate::suites) struct Swept<E> {
    engine: Arc<E>,
    /// How many rows expire before each row of the report.
    rows: u64,
    sweeping: Mutex<Option<Sweeping>>,
    /// The number of the next expired row.
    next: AtomicU64,
}

struct Sweeping {
    sweeper: Sweeper,
    /// Expired rows when the slice began.
    expired: i64,
    began: Instant,
}

/// Slices that are shorter, which find out how many operations fill one, may see no step of a sweep.
const A_STEP: Duration = Duration::from_millis(500);

impl<E> Swept<E> {
    pub(in crate::suites) fn new(engine: Arc<E>, rows: u64) -> Self {
        Self {
            engine,
            rows,
            sweeping: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }
}

impl<E: Engine> Disturbance for Swept<E> {
    type Engine = E;

    fn engine(&self) -> &Arc<E> {
        &self.engine
    }

    async fn prepare(&self) -> Result<()> {
        let first = self.next.fetch_add(self.rows, Ordering::Relaxed);
        self.engine.hold(first, self.rows, Duration::ZERO).await?;
        self.engine.settle().await
    }

    async fn begin(&self) -> Result<()> {
        let before = self.engine.expired().await?;
        let at_once = Duration::from_millis(1);
        let sweeper = self.engine.sweep(at_once);
        // The first slices, which find out how many operations fill one, are over before it has come
        // to its first row.
        for _ in 0..100 {
            let expired = self.engine.expired().await?;
            if expired < before {
                *self.sweeping.lock().await = Some(Sweeping {
                    sweeper,
                    expired,
                    began: Instant::now(),
                });
                return Ok(());
            }
        }
        bail!("nothing was swept")
    }

    async fn end(&self) -> Result<()> {
        let Some(Sweeping {
            sweeper,
            expired,
            began,
        }) = self.sweeping.lock().await.take()
        else {
            return Ok(());
        };
        drop(sweeper);
        let lasted = began.elapsed();
        let left = self.engine.expired().await?;
        ensure!(left > 0, "the sweep was over before the slice");
        ensure!(
            left < expired || lasted < A_STEP,
            "nothing was swept during the slice"
        );
        Ok(())
    }
}
