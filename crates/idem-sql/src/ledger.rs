//! [`Ledger`]: whether this release may write to the tables.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use idem_core::store::StoreError;
use tokio::time::Instant;

/// How often a process looks whether a newer release has changed the tables meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many migrations the tables of a store have had, and how many this release knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrations {
    /// 0 where there are no tables.
    pub applied: usize,
    /// Fewer than `applied` where the tables are of a newer release.
    pub known: usize,
}

/// How many migrations the tables of a store have had, and when that was last looked at.
#[derive(Debug)]
pub struct Ledger {
    /// The number of migrations that this release knows.
    known: usize,
    checked: Mutex<Option<Instant>>,
}

impl Ledger {
    /// For a release that knows this number of migrations.
    #[must_use]
    pub fn new(known: usize) -> Self {
        Self {
            known,
            checked: Mutex::new(None),
        }
    }

    /// Whether it was looked at within the last minute.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let checked = *self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.is_some_and(|at| at.elapsed() < LOOK_EVERY)
    }

    /// Asks for the number of migrations that were applied, unless that was done within the last
    /// minute. A number that cannot be read is no error: the statement that follows says what is
    /// wrong.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) when the tables are of a newer release: an older
    /// one must not write to tables that it does not know.
    pub async fn check<E>(
        &self,
        applied: impl Future<Output = Result<usize, E>>,
    ) -> Result<(), StoreError> {
        if self.is_known() {
            return Ok(());
        }
        if let Ok(applied) = applied.await {
            self.refuse_newer(applied)?;
            self.note();
        }
        Ok(())
    }

    /// Notes that the tables are of this release or an older one.
    pub fn note(&self) {
        let now = Some(Instant::now());
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Refuses tables that have had more migrations than this release knows.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config).
    pub fn refuse_newer(&self, applied: usize) -> Result<(), StoreError> {
        if applied <= self.known {
            return Ok(());
        }
        Err(StoreError::config(format!(
            "the tables are at version {applied} and this release knows {}: upgrade it",
            self.known
        )))
    }
}
