//! Stores to stand behind a cache.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use idem_memory::{ManualClock, MemoryConfig, MemoryStore, ReplayCache, ReplayCacheConfig};
use tokio::sync::Semaphore;

/// The store behind the cache: counts what reaches it, and misbehaves as told.
#[derive(Clone)]
pub(crate) struct Behind(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: MemoryStore,
    pub(crate) clock: ManualClock,
    creates: AtomicUsize,
    gets: AtomicUsize,
    /// `create` does not say how much of a final record's time is left.
    pub(crate) silent: AtomicBool,
    /// Every call fails with this.
    pub(crate) error: Mutex<Option<StoreError>>,
    /// So long a reply is on its way, by the clock.
    pub(crate) delay: Mutex<Duration>,
    /// Replies to `create` wait for a permit.
    pub(crate) gate: Option<Semaphore>,
}

impl Behind {
    pub(crate) fn new(gate: Option<Semaphore>) -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_config(MemoryConfig::default().clock(clock.clone()));
        Self(Arc::new(Inner {
            store,
            clock,
            creates: AtomicUsize::new(0),
            gets: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
            error: Mutex::new(None),
            delay: Mutex::new(Duration::ZERO),
            gate,
        }))
    }

    pub(crate) fn cached(&self) -> ReplayCache<Self> {
        let config = ReplayCacheConfig::default().max_age(Duration::from_secs(36_000));
        ReplayCache::with_config(self.clone(), config.clock(self.0.clock.clone()))
    }

    pub(crate) fn asked(&self) -> (usize, usize) {
        let Inner { creates, gets, .. } = &*self.0;
        (creates.load(Ordering::SeqCst), gets.load(Ordering::SeqCst))
    }

    async fn answer<T>(&self, reply: Result<T, StoreError>) -> Result<T, StoreError> {
        self.0.clock.advance(*self.0.delay.lock().unwrap());
        match self.0.error.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => reply,
        }
    }
}

#[async_trait]
impl Store for Behind {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.0.creates.fetch_add(1, Ordering::SeqCst);
        let mut created = self.0.store.create(key, record, ttl).await?;
        if let (Created::Exists(stored), true) =
            (&mut created, self.0.silent.load(Ordering::SeqCst))
        {
            stored.remaining = None;
        }
        if let Some(gate) = &self.0.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.answer(Ok(created)).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let updated = self.0.store.update(key, expected, record, ttl).await;
        self.answer(updated).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let deleted = self.0.store.delete(key, expected).await;
        self.answer(deleted).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.0.gets.fetch_add(1, Ordering::SeqCst);
        let found = self.0.store.get(key).await;
        self.answer(found).await
    }
}

/// Applies a delete, and never answers it.
pub(crate) struct Hanging(pub(crate) ReplayCache<Behind>);

#[async_trait]
impl Store for Hanging {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.0.create(key, record, ttl).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.0.update(key, expected, record, ttl).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.0.delete(key, expected).await?;
        std::future::pending().await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.0.get(key).await
    }
}
