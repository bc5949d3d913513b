//! [`RetryBudget`]: a bound on the repeats of all intents together.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A repeat costs this many units, so that a percentage of one is a whole number.
const REPEAT: u64 = 100;

/// Bounds how much the repeats of all intents add to the load of a server that is in trouble.
///
/// It is a bucket of repeats. It starts full; each repeat takes one, and each new intent puts a
/// share of one back. An intent that finds the bucket empty gives up with
/// [`StopReason::BudgetSpent`](super::StopReason::BudgetSpent). First sendings are always made.
///
/// Clones share one bucket. Use one for each server, and put it into the
/// [`RetryRules`](super::RetryRules) of all intents that go there:
///
/// ```
/// use idem_http::client::{RetryBudget, RetryRules};
///
/// // 50 repeats in reserve, and then one for every ten intents.
/// let budget = RetryBudget::new(50, 10);
/// let payments = RetryRules::default().budget(budget.clone());
/// let refunds = RetryRules::default().budget(budget).most_sendings(3);
/// # let _ = (payments, refunds);
/// ```
#[derive(Clone)]
pub struct RetryBudget {
    bucket: Arc<Bucket>,
}

struct Bucket {
    units: AtomicU64,
    full: u64,
    per_intent: u64,
}

impl RetryBudget {
    /// A full bucket of `reserve` repeats. Each intent adds `percent` hundredths of a repeat, so
    /// that in a long outage repeats are `percent` of the intents.
    #[must_use]
    pub fn new(reserve: u32, percent: u32) -> Self {
        let full = u64::from(reserve) * REPEAT;
        Self {
            bucket: Arc::new(Bucket {
                units: AtomicU64::new(full),
                full,
                per_intent: u64::from(percent),
            }),
        }
    }

    /// A bucket that is never empty.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(u32::MAX, u32::MAX)
    }

    /// How many repeats are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.bucket.units.load(Ordering::Relaxed) / REPEAT
    }

    /// Adds the share of a new intent.
    pub(super) fn deposit(&self) {
        let Bucket {
            units,
            full,
            per_intent,
        } = &*self.bucket;
        let added = |units: u64| Some(units.saturating_add(*per_intent).min(*full));
        let _ = units.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    /// Takes one repeat, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        let taken = |units: u64| units.checked_sub(REPEAT);
        let units = &self.bucket.units;
        units
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
    }
}

impl Default for RetryBudget {
    /// 500 repeats in reserve, and one for every five intents.
    fn default() -> Self {
        Self::new(500, 20)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}
