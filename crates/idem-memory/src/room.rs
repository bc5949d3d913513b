//! How much room there is, counted over all shards.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that all records together may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) max_bytes: usize,
    pub(crate) max_records: usize,
}

/// What all records together take. Never more than the limit, not even for a moment.
pub(crate) struct Taken {
    bytes: AtomicUsize,
    records: AtomicUsize,
    limit: Limit,
}

impl Taken {
    pub(crate) fn new(limit: Limit) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            limit,
        }
    }

    /// Takes room for a new record of this size, if there is enough.
    pub(crate) fn add(&self, bytes: usize) -> bool {
        if !take(&self.records, 1, self.limit.max_records) {
            return false;
        }
        let added = take(&self.bytes, bytes, self.limit.max_bytes);
        if !added {
            give_back(&self.records, 1);
        }
        added
    }

    /// Takes or gives back what a record changes in size. One that does not grow always may.
    pub(crate) fn resize(&self, from: usize, to: usize) -> bool {
        match to.checked_sub(from) {
            None => give_back(&self.bytes, from - to),
            Some(0) => {}
            Some(more) => return take(&self.bytes, more, self.limit.max_bytes),
        }
        true
    }

    /// Gives back the room of a record that is gone.
    pub(crate) fn remove(&self, bytes: usize) {
        give_back(&self.records, 1);
        give_back(&self.bytes, bytes);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }
}

fn take(taken: &AtomicUsize, more: usize, limit: usize) -> bool {
    let sum = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= limit);
    taken
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
        .is_ok()
}

fn give_back(taken: &AtomicUsize, less: usize) {
    taken.fetch_sub(less, Ordering::Relaxed);
}
