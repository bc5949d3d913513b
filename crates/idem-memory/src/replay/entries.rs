//! What a cache of replays knows, and when it may learn.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use idem_core::{
    RecordKey,
    store::{Record, Stored},
};
use moka::{Expiry, sync::Cache};

use super::ReplayCacheConfig;
use crate::{
    clock::{Clock, Moment},
    slot,
};

/// Keys share counters of what happened to them; a clash costs an entry, no more.
const STRIPES: usize = 256;
/// Longer than any retention, and no more than moka can count.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What is known of a key.
pub(super) enum Entry {
    /// How it ended.
    Ended(Stored),
    /// That it ended; not for how long its record stays.
    Noted,
}

pub(super) struct Entries {
    cache: Cache<RecordKey, Known>,
    /// Counts up whenever something may have happened to an ended record of the stripe: a reply to
    /// a request from before that is not learned from any more.
    happened: Box<[Mutex<u64>; STRIPES]>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    max_age: Duration,
}

#[derive(Clone)]
struct Known {
    /// `None` notes that the key has ended.
    record: Option<Record>,
    until: Moment,
    /// How long it is kept, for moka to give its room back.
    keep: Duration,
}

impl Entries {
    pub(super) fn new(config: ReplayCacheConfig) -> Self {
        let cache = Cache::builder()
            .max_capacity(config.max_bytes)
            .weigher(weight)
            .expire_after(Keep)
            .build();
        Self {
            cache,
            happened: Box::new(std::array::from_fn(|_| Mutex::new(0))),
            hasher: RandomState::new(),
            clock: config.clock,
            max_age: config.max_age.min(LONGEST),
        }
    }

    pub(super) fn get(&self, key: &RecordKey) -> Option<Entry> {
        let known = self.cache.get(key)?;
        let now = self.now();
        if known.until <= now {
            return None;
        }
        Some(known.record.map_or(Entry::Noted, |record| {
            let (age, remaining) = (None, Some(known.until.since(now)));
            Entry::Ended(Stored {
                record,
                age,
                remaining,
            })
        }))
    }

    pub(super) fn forget(&self, key: &RecordKey) {
        *self.happened(key) += 1;
        self.cache.invalidate(key);
    }

    /// Starts a request that changes nothing which has ended.
    pub(super) fn look<'a>(&'a self, key: &'a RecordKey) -> Asking<'a> {
        Asking {
            entries: self,
            key,
            happened: *self.happened(key),
            started: self.now(),
            may_change: false,
        }
    }

    /// Starts a request that may. Unless its reply says what became of it, and also when there is
    /// none because the caller went away, the key is forgotten.
    pub(super) fn change<'a>(&'a self, key: &'a RecordKey) -> Asking<'a> {
        Asking {
            may_change: true,
            ..self.look(key)
        }
    }

    fn happened(&self, key: &RecordKey) -> MutexGuard<'_, u64> {
        let stripe = self.hasher.hash_one(key.as_str()) % STRIPES as u64;
        self.happened[usize::try_from(stripe).unwrap_or(0)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::from(self.clock.now())
    }
}

/// A request on its way to the store.
pub(super) struct Asking<'a> {
    entries: &'a Entries,
    key: &'a RecordKey,
    happened: u64,
    started: Moment,
    may_change: bool,
}

impl Asking<'_> {
    /// The store has taken this record, for so long.
    pub(super) fn wrote(mut self, record: &Record, ttl: Duration) {
        if record.state.is_final() {
            self.learn(Some(record), ttl);
        }
    }

    /// The store has this record, or none, and has changed nothing.
    pub(super) fn found(mut self, found: Option<&Stored>) {
        match found {
            Some(Stored {
                record,
                remaining: Some(remaining),
                ..
            }) if record.state.is_final() => self.learn(Some(record), *remaining),
            Some(stored) if stored.record.state.is_final() => self.learn(None, Duration::MAX),
            _ => {
                self.may_change = false;
                self.entries.cache.invalidate(self.key);
            }
        }
    }

    fn learn(&mut self, record: Option<&Record>, left: Duration) {
        self.may_change = false;
        // Clocks run at speeds of their own, some hundred millionths apart.
        let keep = left.saturating_sub(left / 1000).min(self.entries.max_age);
        let known = Known {
            record: record.map(slot::compact),
            until: self.started.after(keep),
            keep,
        };
        let happened = self.entries.happened(self.key);
        if *happened == self.happened {
            self.entries.cache.insert(self.key.clone(), known);
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.may_change {
            self.entries.forget(self.key);
        }
    }
}

/// What an entry takes in memory.
fn weight(key: &RecordKey, known: &Known) -> u32 {
    let size = match &known.record {
        Some(record) => slot::size(key, record),
        None => slot::OVERHEAD + key.as_str().len(),
    };
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Lets moka give the room of an entry back when its time is over. Whether it is over is decided
/// by the cache's own clock, on reading.
struct Keep;

impl Expiry<RecordKey, Known> for Keep {
    fn expire_after_create(&self, _: &RecordKey, known: &Known, _: Instant) -> Option<Duration> {
        Some(known.keep)
    }

    fn expire_after_update(
        &self,
        _: &RecordKey,
        known: &Known,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(known.keep)
    }
}
