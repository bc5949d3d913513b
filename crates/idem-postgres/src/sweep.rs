//! Giving back the room of expired records.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{StoreError, Sweep};
use sqlx::Row;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    PostgresStore,
    call::{Argument, Scalar},
    rows::unreadable,
};

/// How many pages of the table one statement looks through: 8 MiB.
const PAGES: i64 = 1024;

/// How many rows one statement removes at most.
const ROWS: usize = 1000;

/// A background sweeper rests for so many times as long as its last statement took, so that it
/// takes a small share of the server whatever the server can do.
const REST: u32 = 4;

/// How far a process has got on its way around the table. Each starts elsewhere.
pub(crate) struct SweepPlace(AtomicI64);

impl Default for SweepPlace {
    fn default() -> Self {
        Self(AtomicI64::new(i64::from(rand::random::<u32>())))
    }
}

/// What one statement did.
struct Swept {
    rows: usize,
    /// Where the next one goes on.
    next: i64,
    /// How many pages it looked through; none when rows are left there.
    looked: i64,
    /// How many pages the table has.
    pages: i64,
}

#[async_trait]
impl Sweep for PostgresStore {
    /// Goes once around the table at most, a range of pages after the other. Rows that are locked
    /// are left for the next time.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let (mut swept, mut looked) = (0, 0);
        while swept < limit {
            let step = self.sweep_some((limit - swept).min(ROWS)).await?;
            swept += step.rows;
            looked += step.looked;
            if looked >= step.pages {
                break;
            }
        }
        Ok(swept)
    }
}

impl PostgresStore {
    /// Sweeps in the background for as long as the returned handle is kept: about once per
    /// `period`, at a random time, resting between its statements four times as long as they take.
    ///
    /// As many processes may do so as like to. Counts what it removes as
    /// `idem_postgres_swept_total`, and says how far it has got as `idem_postgres_sweep_progress`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "the sweeper stops when its handle is dropped"]
    pub fn sweep_in_background(&self, period: Duration) -> Sweeper {
        let store = self.clone();
        let task = Handle::current().spawn(async move {
            loop {
                sleep(times(period, rand::random_range(0.5..1.5))).await;
                if let Err(error) = store.sweep_around().await {
                    tracing::warn!(%error, "the sweep stopped half-way; the next one is on its way");
                }
            }
        });
        Sweeper { task }
    }

    /// Goes once around the table, without haste.
    async fn sweep_around(&self) -> Result<(), StoreError> {
        let (mut swept, mut looked) = (0, 0);
        loop {
            let started = Instant::now();
            let step = self.sweep_some(ROWS).await?;
            swept += step.rows;
            looked += step.looked;
            let pages = step.pages.max(1);
            #[expect(clippy::cast_precision_loss, reason = "a share for a gauge")]
            metrics::gauge!("idem_postgres_sweep_progress")
                .set((looked as f64 / pages as f64).min(1.0));
            if looked >= pages {
                tracing::debug!(swept, pages, "swept the table");
                return Ok(());
            }
            sleep(started.elapsed() * REST).await;
        }
    }

    /// Sweeps a range of pages, or as much of it as the limit says.
    async fn sweep_some(&self, limit: usize) -> Result<Swept, StoreError> {
        let place = &self.sweep_place().0;
        let from = place.load(Ordering::Relaxed);
        let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut step = self.sweep_range(from, limit_rows).await?;
        if from >= step.pages && from != 0 {
            // The table ends before this: on from its start.
            step = self
                .sweep_range(from % step.pages.max(1), limit_rows)
                .await?;
        }
        place.store(step.next, Ordering::Relaxed);
        metrics::counter!("idem_postgres_swept_total").increment(step.rows as u64);
        Ok(step)
    }

    async fn sweep_range(&self, from: i64, limit: i64) -> Result<Swept, StoreError> {
        let to = from + PAGES;
        let [first, last] = [from, to].map(|page| format!("({page},0)"));
        let arguments = [
            Argument::One(Scalar::Text(&first)),
            Argument::One(Scalar::Text(&last)),
            Argument::One(Scalar::Int(Some(limit))),
        ];
        let sql: &Arc<str> = &self.sessions().sql().sweep;
        let rows = self.sessions().ask(sql, &arguments).await?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::unknown("the server gave no answer"))?;
        let removed: i64 = row.try_get(0).map_err(unreadable)?;
        let pages: i64 = row.try_get(1).map_err(unreadable)?;
        let emptied = removed < limit;
        let end = to.min(pages);
        Ok(Swept {
            rows: usize::try_from(removed).unwrap_or(0),
            next: match emptied {
                true if end >= pages => 0,
                true => end,
                false => from,
            },
            looked: if emptied { (end - from).max(0) } else { 0 },
            pages,
        })
    }
}

/// A sweeper in the background. Dropping it stops it after the statement that is under way.
#[derive(Debug)]
pub struct Sweeper {
    task: JoinHandle<()>,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A multiple of a period; for ever where it cannot be told.
fn times(period: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(period.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_period_can_be_slept_for() {
        assert_eq!(times(Duration::ZERO, 1.4), Duration::ZERO);
        assert_eq!(times(Duration::from_secs(10), 0.5), Duration::from_secs(5));
        assert_eq!(times(Duration::MAX, 1.4), Duration::MAX);
    }
}
