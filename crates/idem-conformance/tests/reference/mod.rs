//! The simplest store there can be: a map behind a lock. The suite has to pass on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use idem_conformance::async_trait;
use idem_core::{Created, Deleted, Record, RecordKey, Store, StoreError, Stored, Updated, Version};

#[derive(Clone)]
struct Entry {
    record: Record,
    written: Instant,
    ttl: Duration,
}

#[derive(Clone, Default)]
pub(crate) struct ReferenceStore {
    entries: Arc<Mutex<HashMap<RecordKey, Entry>>>,
}

impl ReferenceStore {
    fn entries(&self) -> MutexGuard<'_, HashMap<RecordKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(record: &Record, ttl: Duration) -> Self {
        Self {
            record: record.clone(),
            written: Instant::now(),
            ttl,
        }
    }

    fn stored(&self) -> Option<Stored> {
        let age = self.written.elapsed();
        let remaining = self.ttl.checked_sub(age).filter(|left| !left.is_zero())?;
        Some(Stored {
            record: self.record.clone(),
            age: Some(age),
            remaining: Some(remaining),
        })
    }
}

fn find(entries: &HashMap<RecordKey, Entry>, key: &RecordKey) -> Option<Stored> {
    entries.get(key).and_then(Entry::stored)
}

#[async_trait]
impl Store for ReferenceStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let mut entries = self.entries();
        if let Some(found) = find(&entries, key) {
            return Ok(Created::Exists(found));
        }
        entries.insert(key.clone(), Entry::new(record, ttl));
        Ok(Created::New)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let mut entries = self.entries();
        match find(&entries, key) {
            Some(found) if found.record.version == expected => {
                entries.insert(key.clone(), Entry::new(record, ttl));
                Ok(Updated::Done)
            }
            other => Ok(Updated::Conflict(other)),
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let mut entries = self.entries();
        match find(&entries, key) {
            Some(found) if found.record.version == expected => {
                entries.remove(key);
                Ok(Deleted::Done)
            }
            other => Ok(Deleted::Conflict(other)),
        }
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        Ok(find(&self.entries(), key))
    }
}
