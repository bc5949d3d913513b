//! A store whose connection can be cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    Created, Deleted, Idempotency, Policy, Record, RecordKey, Store, StoreError, Stored, Updated,
    Version,
};
use idem_memory::MemoryStore;

/// The switch of a [`cuttable`] store.
#[derive(Clone, Default)]
pub struct Cable {
    cut: Arc<AtomicBool>,
    misconfigured: Arc<AtomicBool>,
}

impl Cable {
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    /// The store refuses as one whose password is wrong does.
    pub fn misconfigure(&self) {
        self.misconfigured.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.misconfigured.load(Ordering::SeqCst) {
            return Err(StoreError::config("the password is wrong"));
        }
        match self.cut.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("the cable is cut")),
            false => Ok(()),
        }
    }
}

struct Cuttable {
    store: MemoryStore,
    cable: Cable,
}

#[async_trait]
impl Store for Cuttable {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.cable.check()?;
        self.store.create(key, record, ttl).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.cable.check()?;
        self.store.update(key, expected, record, ttl).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.cable.check()?;
        self.store.delete(key, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.cable.check()?;
        self.store.get(key).await
    }
}

/// An engine over a memory store behind a cable. A claim asks once.
pub fn cuttable(policy: Policy) -> (Idempotency, Cable) {
    let cable = Cable::default();
    let store = Cuttable {
        store: MemoryStore::default(),
        cable: cable.clone(),
    };
    let policy = policy.retry_budget(Duration::ZERO);
    let idem = Idempotency::builder(store).policy(policy).build().unwrap();
    (idem, cable)
}
