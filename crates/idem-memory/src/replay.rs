//! [`ReplayCache`]: replays without a round trip.

mod config;
mod entries;
mod optional;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};

pub use config::ReplayCacheConfig;
use entries::{Entries, Entry};

/// Answers a claim of a key that has ended from this process's memory, and leaves everything else
/// to the store behind it.
///
/// Only *completed* and *failed* records are kept: they stay as they are until they expire, so a
/// copy is as good as the original (G2). Records in flight and retryable ones are always asked
/// for. A cache may evict, and this one does, since the store behind it does not (rule S6).
///
/// ```
/// use idem_core::Idempotency;
/// use idem_memory::{MemoryStore, ReplayCache};
///
/// let store = MemoryStore::new(); // or one of idem-redis or idem-postgres
/// let idem = Idempotency::builder(ReplayCache::new(store)).build()?;
/// # Ok::<(), idem_core::error::PolicyError>(())
/// ```
///
/// # When an entry is used
/// * Never past the record's ttl: an entry's time starts *before* the request goes out whose reply
///   it comes from, runs for what the store said is left (or for the ttl of an ending written
///   through the cache), and is cut by a thousandth, for clocks that run at different speeds.
/// * Where a store did not say how much is left, the cache notes only that there is an ending.
///   The next claim then costs the same one round trip, but asks with [`get`](Store::get), which
///   tells what is left, and the one after that costs none.
/// * Never longer than [`max_age`](ReplayCacheConfig::max_age). It bounds the one way in which an
///   entry can be wrong: somebody removed the ended record *by hand, and not through this cache*.
///   The engine never does. Whoever does calls [`forget`](Self::forget) or waits so long.
///
/// # What goes through
/// [`create`](Store::create) alone is answered from memory, because it is what a replay costs.
/// `get` always asks, so that tools see what is there. `update` and `delete` always ask as well: on
/// a key that has ended they come from a holder that was superseded, which is rare, and the store's
/// own word is worth the round trip. What they find or do refreshes or removes the entry. An error
/// of the store is passed on as it is; after one of `update` or `delete` the entry goes, since the
/// write may have been applied.
///
/// Cheap to clone; clones share the entries.
pub struct ReplayCache<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    store: S,
    entries: Entries,
}

impl<S> ReplayCache<S> {
    /// Puts a cache with the default configuration in front of a store.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::with_config(store, ReplayCacheConfig::default())
    }

    /// Puts a cache with these knobs in front of a store.
    #[must_use]
    pub fn with_config(store: S, config: ReplayCacheConfig) -> Self {
        let entries = Entries::new(config);
        Self {
            inner: Arc::new(Inner { store, entries }),
        }
    }

    /// The store behind the cache.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.inner.store
    }

    /// Drops the entry of a key, so that its next claim asks the store.
    pub fn forget(&self, key: &RecordKey) {
        self.inner.entries.forget(key);
    }
}

#[async_trait]
impl<S: Store> Store for ReplayCache<S> {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let Inner { store, entries } = &*self.inner;
        match entries.get(key) {
            Some(Entry::Ended(stored)) => return Ok(Created::Exists(stored)),
            Some(Entry::Noted) => {
                if let Some(found) = self.get(key).await? {
                    return Ok(Created::Exists(found));
                }
            }
            None => {}
        }
        let asking = entries.look(key);
        let created = store.create(key, record, ttl).await?;
        match &created {
            Created::New => asking.wrote(record, ttl),
            Created::Exists(found) => asking.found(Some(found)),
        }
        Ok(created)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let Inner { store, entries } = &*self.inner;
        let asking = entries.change(key);
        let updated = store.update(key, expected, record, ttl).await?;
        match &updated {
            Updated::Done => asking.wrote(record, ttl),
            Updated::Conflict(found) => asking.found(found.as_ref()),
        }
        Ok(updated)
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let Inner { store, entries } = &*self.inner;
        let asking = entries.change(key);
        let deleted = store.delete(key, expected).await?;
        if let Deleted::Conflict(found) = &deleted {
            asking.found(found.as_ref());
        }
        Ok(deleted)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let Inner { store, entries } = &*self.inner;
        let asking = entries.look(key);
        let found = store.get(key).await?;
        asking.found(found.as_ref());
        Ok(found)
    }
}

impl<S> Clone for ReplayCache<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ReplayCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache")
            .field("store", &self.inner.store)
            .finish_non_exhaustive()
    }
}
