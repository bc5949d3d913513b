//! [`MemoryStore`].

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Sweep, Updated, Version},
};

use crate::{
    MemoryConfig,
    clock::{Clock, Moment},
    error,
    room::{Limit, Room, Taken},
    shard::{Full, Hashed, Shard},
    slot::{self, compact},
    sync::{Mutex, MutexGuard},
};

/// How many records are purged before a write that found no room tries again.
const PURGED_FOR_ROOM: usize = 1024;
/// How many due dates a purge deals with under one hold of a shard's lock.
const PURGED_PER_HOLD: usize = 256;

/// A store for one process: records live in its memory and go with it.
///
/// It keeps all of S1–S10; what its "restart" of S4 means is that nothing is left. Cheap to clone;
/// clones share the records, so give each engine of a process a clone of one store.
///
/// ```
/// use idem_core::{Claim, Fingerprint, Idempotency, IdempotencyKey, Scope};
/// use idem_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let idem = Idempotency::builder(store.clone()).watch(store).build()?;
///
/// let key = Scope::new("merchant-7")?.key(&IdempotencyKey::new("order-4711")?);
/// let fingerprint = Fingerprint::of("payments/v1", b"500 usd");
/// if let Claim::Acquired(execution) = idem.claim(&key, &fingerprint).await? {
///     execution.complete("charge 17").await?; // after charging the card
/// }
/// assert!(matches!(idem.claim(&key, &fingerprint).await?, Claim::Replay(_)));
/// # Ok(()) }
/// ```
///
/// # Room
/// Nothing is evicted before its ttl. A store without room refuses new records and growing ones
/// with [`Full`](idem_core::store::StoreErrorKind::Full), after purging whatever has expired; see
/// [`MemoryConfig::max_bytes`]. Expired records are purged by the writes that follow, a few by
/// each, soonest first, without looking at any other; [`Sweep`] gives their room back in a store
/// that nobody writes to any more.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// A power of two of them.
    shards: Box<[Aligned]>,
    /// SipHash under a random key: a client who chooses keys cannot make them collide.
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

/// A shard on cache lines of its own, so that two cores do not fight over neighbours.
#[repr(align(128))]
struct Aligned(Mutex<Shard>);

impl MemoryStore {
    /// Bytes that every record is counted with, beside its key and its payload or checkpoint: what
    /// the table, the expiry queue and the allocator take for it, rounded up.
    pub const RECORD_OVERHEAD: usize = slot::OVERHEAD;

    /// A store with the default configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(MemoryConfig::default())
    }

    /// A store with these knobs.
    #[must_use]
    pub fn with_config(config: MemoryConfig) -> Self {
        let shards = config.shards.clamp(1, MemoryConfig::MAX_SHARDS);
        let shards = shards.next_power_of_two();
        let limit = Limit {
            bytes: config.max_bytes,
            records: config.max_records,
        };
        let taken = Arc::new(Taken::new(limit, shards));
        let shard = || Shard::new(Room::new(Arc::clone(&taken)));
        Self {
            inner: Arc::new(Inner {
                shards: (0..shards).map(|_| Aligned(Mutex::new(shard()))).collect(),
                hasher: RandomState::new(),
                clock: config.clock,
            }),
        }
    }

    /// How many records the store holds, with expired ones that are not purged yet. Asks every
    /// shard.
    #[must_use]
    pub fn records(&self) -> usize {
        (0..self.shards())
            .map(|index| self.shard_at(index).records())
            .sum()
    }

    /// What those records take, as [`MemoryConfig::max_bytes`] counts. Asks every shard.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (0..self.shards())
            .map(|index| self.shard_at(index).bytes())
            .sum()
    }

    /// Tells this store from others: their hashes differ, so a cursor is good for one alone.
    pub(crate) fn id(&self) -> u64 {
        self.inner.hasher.hash_one("idem-memory/store")
    }

    pub(crate) fn hashed<'a>(&self, key: &'a RecordKey) -> Hashed<'a> {
        let mut hasher = self.inner.hasher.build_hasher();
        hasher.write(key.as_str().as_bytes());
        let hash = hasher.finish();
        Hashed { key, hash }
    }

    pub(crate) fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        self.shard_at(self.shard_index(hash))
    }

    /// The upper bits of the hash, so that shards follow each other in the order of hashes.
    pub(crate) fn shard_index(&self, hash: u64) -> usize {
        let bits = self.inner.shards.len().trailing_zeros();
        usize::try_from(hash.checked_shr(64 - bits).unwrap_or(0)).unwrap_or(0)
    }

    /// No code that can panic runs halfway through a change under the lock, so a poisoned shard
    /// is a whole one.
    pub(crate) fn shard_at(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.inner.shards[index]
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Read under the lock of a shard, so that its records see time in the order of its calls and
    /// no age runs backwards (rule S4).
    pub(crate) fn now(&self) -> Moment {
        Moment::from(self.inner.clock.now())
    }

    /// Makes a change and, when it was `done`, tells the watchers. Where there is no room for it,
    /// purges until there is or nothing is left to purge.
    fn change<T: PartialEq>(
        &self,
        hash: u64,
        done: &T,
        mut change: impl FnMut(&mut Shard, Moment) -> Result<T, Full>,
    ) -> Result<T, StoreError> {
        loop {
            let mut shard = self.shard(hash);
            let changed = change(&mut shard, self.now());
            let bell = shard.watched().bell(hash);
            drop(shard);
            match changed {
                Ok(changed) => {
                    if let Some(bell) = bell.filter(|_| changed == *done) {
                        bell.send_replace(());
                    }
                    return Ok(changed);
                }
                Err(Full) if self.make_room() => {}
                Err(Full) => return Err(error::full()),
            }
        }
    }

    /// Purges some of what expired, and collects the room that shards took ahead. Says whether
    /// there was either, that is, whether it is worth trying again.
    fn make_room(&self) -> bool {
        let purged = self.purge(PURGED_FOR_ROOM) > 0;
        let shards = 0..self.shards();
        shards.fold(purged, |made, index| {
            self.shard_at(index).give_back() || made
        })
    }

    /// Purges at most `limit` records, whatever has expired first in each shard.
    fn purge(&self, limit: usize) -> usize {
        let mut purged = 0;
        for index in 0..self.shards() {
            while purged < limit {
                let mut shard = self.shard_at(index);
                let now = self.now();
                let done = shard.purge(PURGED_PER_HOLD.min(limit - purged), now);
                purged += done.records;
                if !done.more {
                    break;
                }
            }
        }
        purged
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let hashed = self.hashed(key);
        self.change(hashed.hash, &Created::New, |shard, now| {
            shard.create(hashed, record, ttl, now)
        })
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let hashed = self.hashed(key);
        // Copied before the lock is taken; the record that it replaces is dropped after.
        let mut record = compact(record);
        self.change(hashed.hash, &Updated::Done, |shard, now| {
            shard.update(hashed, expected, &mut record, ttl, now)
        })
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let hashed = self.hashed(key);
        self.change(hashed.hash, &Deleted::Done, |shard, now| {
            Ok(shard.delete(hashed, expected, now))
        })
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let hashed = self.hashed(key);
        let mut shard = self.shard(hashed.hash);
        let now = self.now();
        Ok(shard.get(hashed, now))
    }
}

#[async_trait]
impl Sweep for MemoryStore {
    /// Never fails. Without it expired records go as others are written.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        Ok(self.purge(limit))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.records())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
