//! The reference store with one flaw.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use idem_conformance::{Op, async_trait};
use idem_core::{
    RecordKey,
    store::{ClaimToken, Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use tokio::{sync::Semaphore, task::yield_now, time::Instant};

use super::Flaw;
use crate::reference::ReferenceStore;

/// One handle on a store with a flaw.
#[derive(Clone)]
pub(crate) struct BrokenStore {
    pub(super) flaw: Flaw,
    /// What calls go to: the raw store, or faults in front of it.
    pub(super) inner: Arc<dyn Store>,
    pub(super) raw: ReferenceStore,
    pub(super) shared: Arc<Shared>,
    /// Which handle this is: they have clocks and caches of their own.
    pub(super) handle: Arc<Handle>,
}

/// What all handles on one store have in common.
pub(crate) struct Shared {
    handles: AtomicU64,
    /// How many records are too many for a store that evicts.
    pub(super) most: AtomicUsize,
    pub(super) asked: AtomicU64,
    /// The ttl that each claim was created with, and when what was deleted had been written.
    pub(super) first_ttl: Mutex<HashMap<ClaimToken, Duration>>,
    pub(super) deleted: Mutex<HashMap<RecordKey, Instant>>,
    /// What was there before the last write of each key.
    pub(super) before: Mutex<HashMap<RecordKey, Option<Stored>>>,
    /// Answers on their way back.
    pub(super) answers: Mutex<VecDeque<Option<Stored>>>,
    slots_taken: AtomicIsize,
    slots: Semaphore,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            handles: AtomicU64::default(),
            most: AtomicUsize::new(10_000),
            first_ttl: Mutex::default(),
            deleted: Mutex::default(),
            asked: AtomicU64::default(),
            before: Mutex::default(),
            answers: Mutex::default(),
            slots_taken: AtomicIsize::default(),
            slots: Semaphore::new(256),
        }
    }
}

pub(super) struct Handle {
    pub(super) number: u64,
    pub(super) seen: Mutex<HashMap<RecordKey, Option<Stored>>>,
    /// Held by a handle that does one thing at a time.
    pub(super) one_at_a_time: tokio::sync::Mutex<()>,
}

const SLOTS: isize = 16;

impl BrokenStore {
    pub(super) fn new(flaw: Flaw, raw: &ReferenceStore, shared: &Arc<Shared>) -> Self {
        Self::over(flaw, Arc::new(raw.clone()), raw, shared)
    }

    pub(super) fn over(
        flaw: Flaw,
        inner: Arc<dyn Store>,
        raw: &ReferenceStore,
        shared: &Arc<Shared>,
    ) -> Self {
        let number = shared.handles.fetch_add(1, Ordering::SeqCst);
        let island = flaw == Flaw::IslandPerHandle && number % 2 == 1;
        let own = ReferenceStore::default();
        Self {
            flaw,
            inner: if island { Arc::new(own.clone()) } else { inner },
            raw: if island { own } else { raw.clone() },
            shared: Arc::clone(shared),
            handle: Arc::new(Handle {
                number,
                seen: Mutex::default(),
                one_at_a_time: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Remembers what was there before a write.
    fn note(&self, key: &RecordKey) {
        let before = self.raw.peek(key);
        lock(&self.shared.before).insert(key.clone(), before);
    }

    /// Takes a slot and never gives it back when the call is dropped.
    async fn slot(&self, op: Op) -> Result<(), StoreError> {
        match self.flaw {
            Flaw::BlocksInPlace => tokio::task::block_in_place(|| ()),
            Flaw::HangsOnDelete if op == Op::Delete => std::future::pending().await,
            Flaw::TwoSlotsPerCall => {
                let first = self.shared.slots.acquire().await;
                yield_now().await;
                let second = self.shared.slots.acquire().await;
                drop((first, second));
            }
            _ => {}
        }
        let leaks = matches!(
            (self.flaw, op),
            (Flaw::LeakedSlots, _)
                | (Flaw::LeakedSlotsOfGets, Op::Get)
                | (Flaw::LeakedSlotsOfUpdates, Op::Update)
        );
        if leaks {
            if self.shared.slots_taken.fetch_add(1, Ordering::SeqCst) >= SLOTS {
                self.shared.slots_taken.fetch_sub(1, Ordering::SeqCst);
                return Err(StoreError::unavailable("all slots are taken"));
            }
            yield_now().await;
            self.shared.slots_taken.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for BrokenStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.slot(Op::Create).await?;
        let (key, record) = (&self.key(key), &self.record(record));
        let previous = self.raw.peek(key);
        let ttl = self.ttl(record, ttl);
        let created = self.create_broken(key, record, ttl).await;
        if matches!(created, Ok(Created::New)) {
            let mut first_ttl = lock(&self.shared.first_ttl);
            first_ttl.entry(record.version.token).or_insert(ttl);
            drop(first_ttl);
            lock(&self.shared.before).insert(key.clone(), previous);
        }
        match created.map_err(|error| self.error(error))? {
            Created::New => Ok(Created::New),
            Created::Exists(found) => match self.refused(Some(found)) {
                Some(found) => Ok(Created::Exists(found)),
                None => Ok(Created::New),
            },
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.slot(Op::Update).await?;
        let (key, record) = (&self.key(key), &self.record(record));
        let ttl = self.updated_ttl(key, record, ttl);
        self.note(key);
        let updated = self.update_broken(key, expected, record, ttl).await;
        match updated.map_err(|error| self.error(error))? {
            Updated::Done => Ok(Updated::Done),
            Updated::Conflict(found) => Ok(Updated::Conflict(self.refused(found))),
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.slot(Op::Delete).await?;
        let key = &self.key(key);
        self.note(key);
        let deleted = self.delete_broken(key, expected).await;
        match deleted.map_err(|error| self.error(error))? {
            Deleted::Done => Ok(Deleted::Done),
            Deleted::Conflict(found) => Ok(Deleted::Conflict(self.refused(found))),
        }
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.slot(Op::Get).await?;
        let key = &self.key(key);
        let found = self
            .get_broken(key)
            .await
            .map_err(|error| self.error(error))?;
        Ok(self.told(found))
    }
}
