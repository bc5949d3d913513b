//! [`RecordingStore`]: collects the history of every key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{
        Created, Deleted, Record, Store, StoreError, StoreErrorKind, Stored, Updated, Version,
    },
};
use tokio::time::Instant;

use super::{History, Imprint, Limit, Register, StoreCall, StoreReply, Violation, check};

/// Wraps a store and collects what was called and answered, key by key, to be checked against
/// [`Register`]. Clones share the histories; give each client a [`handle`](Self::handle).
///
/// A call that is dropped half-way, or answers `Unknown`, counts as unknown. A network that
/// delivers a call twice is beyond this model: record below it.
#[derive(Debug)]
pub struct RecordingStore<S: ?Sized> {
    client: usize,
    histories: Arc<Histories>,
    inner: Arc<S>,
}

#[derive(Debug)]
struct Histories {
    began: Instant,
    keys: Mutex<HashMap<RecordKey, History<StoreCall, StoreReply>>>,
}

impl<S: Store + ?Sized> RecordingStore<S> {
    /// Wraps a store; the histories begin now.
    pub fn over(store: Arc<S>) -> Self {
        Self {
            client: 0,
            histories: Arc::new(Histories {
                began: Instant::now(),
                keys: Mutex::default(),
            }),
            inner: store,
        }
    }

    /// The handle of another client, over a handle of its own on the same data.
    #[must_use]
    pub fn handle(&self, client: usize, store: Arc<S>) -> Self {
        Self {
            client,
            histories: Arc::clone(&self.histories),
            inner: store,
        }
    }

    /// The history of every key that was called.
    #[must_use]
    pub fn histories(&self) -> HashMap<RecordKey, History<StoreCall, StoreReply>> {
        let keys = self.histories.keys.lock();
        keys.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks the history of every key; says how many calls were explained.
    ///
    /// # Errors
    /// The first key without an explanation, and why.
    pub fn check(&self, model: Register, limit: Limit) -> Result<usize, (RecordKey, Violation)> {
        let mut explained = 0;
        for (key, history) in self.histories() {
            let calls = history.calls();
            check(&model, &calls, limit).map_err(|violation| (key, violation))?;
            explained += calls.len();
        }
        Ok(explained)
    }

    async fn note<T>(
        &self,
        key: &RecordKey,
        call: StoreCall,
        answer: impl Future<Output = Result<T, StoreError>>,
        reply: impl FnOnce(&T) -> StoreReply,
    ) -> Result<T, StoreError> {
        let pending = self.history(key).invoke(self.client, call);
        let answer = answer.await;
        match &answer {
            Ok(told) => pending.replied(reply(told)),
            Err(error) if error.kind() == StoreErrorKind::Unknown => drop(pending),
            Err(_) => pending.replied(StoreReply::Refused),
        }
        answer
    }

    fn history(&self, key: &RecordKey) -> History<StoreCall, StoreReply> {
        let keys = self.histories.keys.lock();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.entry(key.clone())
            .or_insert_with(|| History::since(self.histories.began))
            .clone()
    }
}

impl<S: ?Sized> Clone for RecordingStore<S> {
    fn clone(&self) -> Self {
        Self {
            client: self.client,
            histories: Arc::clone(&self.histories),
            inner: Arc::clone(&self.inner),
        }
    }
}

fn found(stored: Option<&Stored>) -> StoreReply {
    StoreReply::Found(stored.map(|stored| Imprint::from(&stored.record)))
}

#[async_trait]
impl<S: Store + ?Sized> Store for RecordingStore<S> {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let call = StoreCall::Create(Imprint::from(record), ttl);
        let answer = self.inner.create(key, record, ttl);
        self.note(key, call, answer, |created| match created {
            Created::New => StoreReply::Applied,
            Created::Exists(stored) => found(Some(stored)),
        })
        .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let call = StoreCall::Update(expected, Imprint::from(record), ttl);
        let answer = self.inner.update(key, expected, record, ttl);
        self.note(key, call, answer, |updated| match updated {
            Updated::Done => StoreReply::Applied,
            Updated::Conflict(stored) => found(stored.as_ref()),
        })
        .await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let call = StoreCall::Delete(expected);
        let answer = self.inner.delete(key, expected);
        self.note(key, call, answer, |deleted| match deleted {
            Deleted::Done => StoreReply::Applied,
            Deleted::Conflict(stored) => found(stored.as_ref()),
        })
        .await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let answer = self.inner.get(key);
        self.note(key, StoreCall::Get, answer, |stored| found(stored.as_ref()))
            .await
    }
}
