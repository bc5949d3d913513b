//! [`Sweeper`]: removing expired records in the background.

use std::{future::Future, time::Duration};

use idem_core::store::StoreError;
use tokio::{runtime::Handle, task::JoinHandle, time::sleep};

/// The longest time between two rounds.
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// What a [`Sweeper`] does again and again.
pub trait Round: Send + Sync + 'static {
    /// Goes once around the table, without haste, or does nothing when another process does.
    fn around(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A sweeper in the background. Dropping it stops it after the statement that is under way.
#[derive(Debug)]
pub struct Sweeper {
    task: JoinHandle<()>,
}

impl Sweeper {
    /// One round about once per `period` (at most a day), at a random time.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "the sweeper stops when its handle is dropped"]
    pub fn start(sweeping: impl Round, period: Duration) -> Self {
        let period = period.min(LONGEST_PERIOD);
        let task = Handle::current().spawn(async move {
            loop {
                sleep(times(period, rand::random_range(0.5..1.5))).await;
                if let Err(error) = sweeping.around().await {
                    tracing::warn!(%error, "the sweep stopped half-way; the next one is on its way");
                }
            }
        });
        Self { task }
    }
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
