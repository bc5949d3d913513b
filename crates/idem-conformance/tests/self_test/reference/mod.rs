//! The simplest store there can be: a map behind a lock. The suite has to pass on it.

mod harness;
mod optional;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use idem_conformance::async_trait;
use idem_core::{
    Bytes, RecordKey,
    store::{Created, Deleted, Record, State, Store, StoreError, Stored, Updated, Version, codec},
};
use tokio::{sync::broadcast, time::Instant};

pub(crate) use harness::Reference;

/// A record as bytes, when they were written, and for how long: beside the bytes, so that a record
/// which cannot be read expires as any other.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) value: Bytes,
    pub(crate) written: Instant,
    ttl: Duration,
}

/// The longest payload that the store takes.
pub(crate) const LIMIT: usize = 16 << 20;

pub(crate) type Entries = BTreeMap<String, Entry>;

#[derive(Clone)]
pub(crate) struct ReferenceStore {
    shared: Arc<Shared>,
}

struct Shared {
    entries: Mutex<Entries>,
    /// Bytes that all values together may have.
    room: Mutex<usize>,
    changes: broadcast::Sender<String>,
}

impl Default for ReferenceStore {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                entries: Mutex::default(),
                room: Mutex::new(usize::MAX),
                changes: broadcast::Sender::new(1024),
            }),
        }
    }
}

/// Below the rules: for faults, and for stores that break the rules on purpose.
impl ReferenceStore {
    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        let entries = self.shared.entries.lock();
        entries.unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies under the key, expired or not.
    pub(crate) fn peek(&self, key: &RecordKey) -> Option<Stored> {
        let entry = self.entries().get(key.as_str()).cloned()?;
        let (record, age) = entry.read().ok()?;
        Some(Stored {
            record,
            age: Some(age),
            remaining: None,
        })
    }

    /// Writes whatever is there, whether or not there is room.
    pub(crate) fn put(&self, key: &RecordKey, record: &Record, ttl: Duration) {
        let entry = Entry::new(record, ttl);
        self.entries().insert(key.as_str().to_owned(), entry);
        self.changed(key);
    }

    pub(crate) fn remove(&self, key: &RecordKey) {
        self.entries().remove(key.as_str());
        self.changed(key);
    }

    /// Leaves so many bytes of room.
    pub(crate) fn leave_room(&self, bytes: usize) {
        let used = used(&self.entries());
        *self.room() = used + bytes;
    }

    fn room(&self) -> MutexGuard<'_, usize> {
        self.shared
            .room
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, key: &RecordKey) {
        // Nobody may be listening.
        let _ = self.shared.changes.send(key.as_str().to_owned());
    }

    fn insert(
        &self,
        entries: &mut Entries,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let entry = Entry::new(record, ttl);
        if payload(&record.state).is_some_and(|bytes| bytes.len() > LIMIT) {
            return Err(StoreError::too_large("the reference store takes 16 MiB"));
        }
        let room = *self.room();
        let old = entries.get(key.as_str()).map_or(0, |old| old.value.len());
        // Adding them all up takes time: only where there is an end.
        if room < usize::MAX && used(entries) - old + entry.value.len() > room {
            return Err(StoreError::full("the reference store has no room left"));
        }
        entries.insert(key.as_str().to_owned(), entry);
        self.changed(key);
        Ok(())
    }
}

pub(crate) fn payload(state: &State) -> Option<&Bytes> {
    match state {
        State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => checkpoint.as_ref(),
        State::Completed { payload } | State::Failed { payload } => Some(payload),
    }
}

fn used(entries: &Entries) -> usize {
    entries.values().map(|entry| entry.value.len()).sum()
}

impl Entry {
    fn new(record: &Record, ttl: Duration) -> Self {
        Self {
            value: codec::encode(record, ttl),
            written: Instant::now(),
            ttl,
        }
    }

    /// The record and its age.
    fn read(&self) -> Result<(Record, Duration), StoreError> {
        let decoded = codec::decode(&self.value)?;
        Ok((decoded.record, self.written.elapsed()))
    }

    /// `None` past the ttl.
    pub(crate) fn stored(&self) -> Result<Option<Stored>, StoreError> {
        let age = self.written.elapsed();
        let Some(remaining) = self.ttl.checked_sub(age).filter(|left| !left.is_zero()) else {
            return Ok(None);
        };
        Ok(Some(Stored {
            record: codec::decode(&self.value)?.record,
            age: Some(age),
            remaining: Some(remaining),
        }))
    }
}

fn find(entries: &Entries, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
    match entries.get(key.as_str()) {
        Some(entry) => entry.stored(),
        None => Ok(None),
    }
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
        if let Some(found) = find(&entries, key)? {
            return Ok(Created::Exists(found));
        }
        self.insert(&mut entries, key, record, ttl)?;
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
        match find(&entries, key)? {
            Some(found) if found.record.version == expected => {
                self.insert(&mut entries, key, record, ttl)?;
                Ok(Updated::Done)
            }
            other => Ok(Updated::Conflict(other)),
        }
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let mut entries = self.entries();
        match find(&entries, key)? {
            Some(found) if found.record.version == expected => {
                entries.remove(key.as_str());
                self.changed(key);
                Ok(Deleted::Done)
            }
            other => Ok(Deleted::Conflict(other)),
        }
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        find(&self.entries(), key)
    }
}
