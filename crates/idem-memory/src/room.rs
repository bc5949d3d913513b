//! How much room there is: counted exactly, and without all shards counting at one place.

use std::sync::{Arc, atomic::Ordering};

use crate::sync::AtomicUsize;

/// The most that all records together may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) bytes: usize,
    pub(crate) records: usize,
}

/// What a shard takes ahead of its needs, as long as there is plenty.
const AHEAD: Limit = Limit {
    bytes: 64 << 10,
    records: 128,
};

/// What the shards have taken, used or not. Never more than the limit, not even for a moment.
pub(crate) struct Taken {
    bytes: AtomicUsize,
    records: AtomicUsize,
    limit: Limit,
    shards: usize,
}

impl Taken {
    pub(crate) fn new(limit: Limit, shards: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            limit,
            shards,
        }
    }

    /// Takes what is needed, and more if there is plenty; says how much in all.
    fn take(&self, taken: &AtomicUsize, need: usize, limit: usize, ahead: usize) -> Option<usize> {
        let mut all = 0;
        let take = |taken: usize| {
            let free = limit.saturating_sub(taken).checked_sub(need)?;
            // So little of what is left that the other shards find enough as well.
            all = need + ahead.min(free / (2 * self.shards));
            Some(taken + all)
        };
        let took = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        took.ok().map(|_| all)
    }
}

/// The room of one shard: used by its records, or taken ahead.
pub(crate) struct Room {
    taken: Arc<Taken>,
    used: usize,
    spare_bytes: usize,
    spare_records: usize,
}

impl Room {
    pub(crate) fn new(taken: Arc<Taken>) -> Self {
        Self {
            taken,
            used: 0,
            spare_bytes: 0,
            spare_records: 0,
        }
    }

    /// Bytes that records use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Makes room for a new record of this size, if there is any.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        if self.spare_records == 0 {
            let (taken, limit) = (&self.taken.records, self.taken.limit.records);
            let Some(more) = self.taken.take(taken, 1, limit, AHEAD.records) else {
                return false;
            };
            self.spare_records = more;
        }
        if !self.grow(bytes) {
            // What was taken ahead of nothing is not spare: nobody has to try again because of it.
            self.give_back();
            return false;
        }
        self.spare_records -= 1;
        true
    }

    /// Lets a record change its size, if there is room. One that does not grow always may.
    pub(crate) fn resize(&mut self, from: usize, to: usize) -> bool {
        if to > from {
            return self.grow(to - from);
        }
        self.shrink(from - to);
        true
    }

    /// Takes back the room of a record that is gone.
    pub(crate) fn remove(&mut self, bytes: usize) {
        self.spare_records += 1;
        self.shrink(bytes);
    }

    /// Gives what is spare to the other shards.
    pub(crate) fn give_back(&mut self) -> bool {
        let spare = self.spare_bytes > 0 || self.spare_records > 0;
        give(&self.taken.bytes, &mut self.spare_bytes, 0);
        give(&self.taken.records, &mut self.spare_records, 0);
        spare
    }

    fn grow(&mut self, bytes: usize) -> bool {
        if self.spare_bytes < bytes {
            let need = bytes - self.spare_bytes;
            let (taken, limit) = (&self.taken.bytes, self.taken.limit.bytes);
            let Some(more) = self.taken.take(taken, need, limit, AHEAD.bytes) else {
                return false;
            };
            self.spare_bytes += more;
        }
        self.spare_bytes -= bytes;
        self.used += bytes;
        true
    }

    fn shrink(&mut self, bytes: usize) {
        self.used -= bytes;
        self.spare_bytes += bytes;
        give(&self.taken.bytes, &mut self.spare_bytes, 2 * AHEAD.bytes);
        give(
            &self.taken.records,
            &mut self.spare_records,
            2 * AHEAD.records,
        );
    }
}

/// Gives back all that is spare, once it is more than `most`.
fn give(taken: &AtomicUsize, spare: &mut usize, most: usize) {
    if *spare > most {
        taken.fetch_sub(std::mem::take(spare), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(bytes: usize, records: usize) -> [Room; 2] {
        let taken = Arc::new(Taken::new(Limit { bytes, records }, 2));
        [Room::new(Arc::clone(&taken)), Room::new(taken)]
    }

    #[test]
    fn s6_the_limit_is_exact_whatever_the_shards_took_ahead() {
        let [mut a, mut b] = rooms(1 << 20, 10_000);
        assert!(a.add(100) && b.add(100));
        assert_eq!(a.spare_bytes, AHEAD.bytes, "there is plenty");

        let rest = (1 << 20) - 200;
        assert!(!b.add(rest), "some of it is spare elsewhere");
        assert!(a.give_back());
        assert!(b.add(rest), "and is there once it was given back");
        assert!(!a.add(1));
        assert_eq!(a.used() + b.used(), 1 << 20);

        assert!(a.resize(100, 40));
        assert!(a.add(60));
        assert!(!a.resize(60, 61));
    }

    #[test]
    fn s6_records_are_counted_as_well() {
        let [mut a, mut b] = rooms(usize::MAX, 3);
        assert!(a.add(1) && b.add(1) && a.add(1));
        assert!(!b.add(1) && !a.add(1));
        a.remove(1);
        assert!(!b.add(1));
        assert!(a.give_back());
        assert!(b.add(1));
    }

    #[test]
    fn what_is_spare_does_not_pile_up() {
        let [mut a, _b] = rooms(usize::MAX, usize::MAX);
        for _ in 0..10_000 {
            assert!(a.add(1000));
        }
        for _ in 0..10_000 {
            a.remove(1000);
            assert!(a.spare_bytes <= 2 * AHEAD.bytes);
            assert!(a.spare_records <= 2 * AHEAD.records);
        }
        a.give_back();
        assert_eq!(a.taken.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(a.taken.records.load(Ordering::Relaxed), 0);
    }
}
