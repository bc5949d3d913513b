//! [`VirtualStore`]: a store in memory with a clock of its own, on tokio's time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use tokio::time::Instant;

/// A store in memory whose clock runs slower or faster than everybody else's, on tokio's time.
#[derive(Debug)]
pub struct VirtualStore {
    began: Instant,
    rate: f64,
    entries: Mutex<HashMap<RecordKey, Entry>>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// By the store's clock.
    written: Duration,
    ttl: Duration,
}

impl VirtualStore {
    /// An empty store whose clock begins now and runs `rate` times as fast as tokio's.
    #[must_use]
    pub fn new(began: Instant, rate: f64) -> Self {
        Self {
            began,
            rate,
            entries: Mutex::default(),
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed().mul_f64(self.rate)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<RecordKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, entries: &HashMap<RecordKey, Entry>, key: &RecordKey) -> Option<Stored> {
        let entry = entries.get(key)?;
        let age = self.now().saturating_sub(entry.written);
        let remaining = entry.ttl.checked_sub(age).filter(|left| !left.is_zero())?;
        Some(Stored {
            record: entry.record.clone(),
            age: Some(age),
            remaining: Some(remaining),
        })
    }

    fn entry(&self, record: &Record, ttl: Duration) -> Entry {
        Entry {
            record: record.clone(),
            written: self.now(),
            ttl,
        }
    }
}

#[async_trait]
impl Store for VirtualStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let mut entries = self.entries();
        match self.find(&entries, key) {
            Some(found) => Ok(Created::Exists(found)),
            None => {
                entries.insert(key.clone(), self.entry(record, ttl));
                Ok(Created::New)
            }
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let mut entries = self.entries();
        match self.find(&entries, key) {
            Some(found) if found.record.version == expected => {
                entries.insert(key.clone(), self.entry(record, ttl));
                Ok(Updated::Done)
            }
            other => Ok(Updated::Conflict(other)),
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let mut entries = self.entries();
        match self.find(&entries, key) {
            Some(found) if found.record.version == expected => {
                entries.remove(key);
                Ok(Deleted::Done)
            }
            other => Ok(Deleted::Conflict(other)),
        }
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.find(&self.entries(), key))
    }
}
