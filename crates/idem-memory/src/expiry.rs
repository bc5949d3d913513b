//! When to look at which record again, soonest first.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::clock::Moment;

/// A date with a record, found again by its key's hash. It may be stale: a record knows the date
/// that counts, and one whose date is another, or which is gone, is left alone.
pub(crate) type Date = (Moment, u64);

/// The dates of one shard.
#[derive(Default)]
pub(crate) struct Expiries {
    dates: BinaryHeap<Reverse<Date>>,
}

impl Expiries {
    pub(crate) fn push(&mut self, date: Date) {
        self.dates.push(Reverse(date));
    }

    /// The soonest date, once it has come.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Date> {
        let Reverse((at, _)) = self.dates.peek()?;
        if *at > now {
            return None;
        }
        self.dates.pop().map(|Reverse(date)| date)
    }

    /// Drops stale dates once they outnumber the others, so that keys which come and go, and never
    /// expire, do not pile theirs up. Each stale date pays for one step of this.
    pub(crate) fn tidy(&mut self, records: usize, counts: impl Fn(Date) -> bool) {
        if self.dates.len() > 2 * records + 64 {
            self.dates.retain(|Reverse(date)| counts(*date));
            self.dates.shrink_to(2 * records + 64);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.dates.len()
    }
}
