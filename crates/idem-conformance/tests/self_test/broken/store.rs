//! The reference store with one flaw.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicIsize, AtomicU64, Ordering},
    },
    time::Duration,
};

use idem_conformance::async_trait;
use idem_core::{
    Created, Deleted, Record, RecordKey, State, Store, StoreError, StoreErrorKind, Stored,
    Timestamp, Updated, Version,
};
use tokio::task::yield_now;

use super::Flaw;
use crate::reference::ReferenceStore;

/// One handle on a store with a flaw.
#[derive(Clone)]
pub(crate) struct BrokenStore {
    pub(super) flaw: Flaw,
    /// What calls go to: the raw store, or faults in front of it.
    inner: Arc<dyn Store>,
    raw: ReferenceStore,
    shared: Arc<Shared>,
    /// Which handle this is: they have clocks and caches of their own.
    handle: Arc<Handle>,
}

/// What all handles on one store have in common.
#[derive(Default)]
pub(crate) struct Shared {
    handles: AtomicU64,
    asked: AtomicU64,
    /// What was there before the last write of each key.
    before: Mutex<HashMap<RecordKey, Option<Stored>>>,
    /// Answers on their way back.
    answers: Mutex<VecDeque<Option<Stored>>>,
    slots_taken: AtomicIsize,
}

struct Handle {
    number: u64,
    seen: Mutex<HashMap<RecordKey, Option<Stored>>>,
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
            }),
        }
    }

    fn key(&self, key: &RecordKey) -> RecordKey {
        let (scope, text) = (key.scope().to_owned(), key.key().to_owned());
        let parts = match self.flaw {
            Flaw::KeysConcatenated => (String::new(), scope + &text),
            Flaw::ScopeIgnored => (String::new(), text),
            Flaw::KeysCut => (scope, text.chars().take(200).collect()),
            Flaw::KeysFolded => (scope, text.to_lowercase()),
            Flaw::KeysTrimmed => (scope, format!("{}.", text.trim())),
            Flaw::KeysNormalised => (scope, text.replace("e\u{301}", "é")),
            _ => return key.clone(),
        };
        RecordKey::from_parts(&parts.0, &parts.1).expect("the cases for keys keep to short ones")
    }

    fn record(&self, record: &Record) -> Record {
        let mut record = record.clone();
        match self.flaw {
            Flaw::SignedRevision => {
                let most = i64::MAX as u64;
                record.version.revision = record.version.revision.min(most);
            }
            Flaw::SignedAttempt => record.attempt = record.attempt.min(i32::MAX as u32),
            Flaw::OwnStamp => record.created_at = Timestamp::now(),
            _ => {}
        }
        let (State::InFlight { checkpoint, .. } | State::Retryable { checkpoint }) =
            &mut record.state
        else {
            record.state = self.ended(record.state);
            return record;
        };
        if self.flaw == Flaw::EmptyCheckpointLost {
            *checkpoint = checkpoint.take().filter(|bytes| !bytes.is_empty());
        }
        record
    }

    fn ended(&self, state: State) -> State {
        let change = |payload: idem_core::Bytes| match self.flaw {
            Flaw::TextPayload => String::from_utf8_lossy(&payload).into_owned().into(),
            Flaw::CString => payload
                .split(|byte| *byte == 0)
                .next()
                .map_or_else(Default::default, idem_core::Bytes::copy_from_slice),
            Flaw::PayloadCut => payload.slice(..payload.len().min(1 << 20)),
            _ => payload,
        };
        match state {
            State::Failed { payload } if self.flaw == Flaw::FailureIsSuccess => {
                State::Completed { payload }
            }
            State::Completed { payload } => State::Completed {
                payload: change(payload),
            },
            State::Failed { payload } => State::Failed {
                payload: change(payload),
            },
            state => state,
        }
    }

    fn ttl(&self, record: &Record, ttl: Duration) -> Duration {
        match (self.flaw, &record.state) {
            (Flaw::TtlIsLease, State::InFlight { lease, .. }) => *lease,
            (Flaw::TtlInSeconds, _) => Duration::from_secs(ttl.as_secs()),
            _ => ttl,
        }
    }

    /// What an update leaves of the ttl.
    fn updated_ttl(&self, key: &RecordKey, record: &Record, ttl: Duration) -> Duration {
        let left = || {
            let entries = self.raw.entries();
            let entry = entries.get(key.as_str())?;
            let written = idem_core::codec::decode(&entry.value).ok()?.ttl;
            written.checked_sub(entry.written.elapsed())
        };
        match self.flaw {
            Flaw::UpdateKeepsTtl => left().unwrap_or(ttl),
            Flaw::UpdateShortensTtl => left().map_or(ttl, |left| left.min(ttl)),
            _ => self.ttl(record, ttl),
        }
    }

    /// What is told of what was found.
    fn told(&self, found: Option<Stored>) -> Option<Stored> {
        let mut found = found?;
        if let State::Completed { payload } = &found.record.state
            && self.flaw == Flaw::FalsyPayloadLost
            && (payload.is_empty() || payload == "null")
        {
            return None;
        }
        let asked = self.shared.asked.fetch_add(1, Ordering::SeqCst);
        found.age = match (self.flaw, found.age) {
            (Flaw::AppClock, Some(age)) => Some(age + Duration::from_secs(10 * self.handle.number)),
            (Flaw::AgeZero, _) => Some(Duration::ZERO),
            (Flaw::AgeInSeconds, Some(age)) => Some(Duration::from_secs(age.as_secs())),
            (Flaw::AgeBackwards, Some(age)) if asked % 7 == 6 => Some(age / 2),
            (_, age) => age,
        };
        if self.flaw == Flaw::RemainingIsTtl {
            found.remaining = found.age.zip(found.remaining).map(|(age, left)| age + left);
        }
        Some(found)
    }

    /// What is told of what was found, to somebody who is refused.
    fn refused(&self, found: Option<Stored>) -> Option<Stored> {
        let mut found = self.told(found)?;
        match self.flaw {
            Flaw::RefusedToldAbsent => return None,
            Flaw::RefusedToldNoAge => found.age = None,
            _ => {}
        }
        Some(found)
    }

    fn error(&self, error: StoreError) -> StoreError {
        match (self.flaw, error.kind()) {
            (Flaw::LostReplyIsUnavailable, StoreErrorKind::Unknown)
            | (Flaw::FullIsUnavailable, StoreErrorKind::Full) => {
                StoreError::unavailable("broken").with_source(error)
            }
            (Flaw::FaultIsConfig, StoreErrorKind::Unknown | StoreErrorKind::Unavailable) => {
                StoreError::config("broken").with_source(error)
            }
            _ => error,
        }
    }

    /// Remembers what was there before a write.
    fn note(&self, key: &RecordKey) {
        let before = self.raw.peek(key);
        lock(&self.shared.before).insert(key.clone(), before);
    }

    /// Takes a slot and never gives it back when the call is dropped.
    async fn slot(&self) -> Result<(), StoreError> {
        if self.flaw == Flaw::LeakedSlots {
            if self.shared.slots_taken.fetch_add(1, Ordering::SeqCst) >= SLOTS {
                self.shared.slots_taken.fetch_sub(1, Ordering::SeqCst);
                return Err(StoreError::unavailable("all slots are taken"));
            }
            yield_now().await;
            self.shared.slots_taken.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn create_broken(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let raw = &self.raw;
        match self.flaw {
            Flaw::CheckThenInsert => {
                if let Some(found) = raw.get(key).await? {
                    return Ok(Created::Exists(found));
                }
                yield_now().await;
                raw.put(key, record, ttl);
                return Ok(Created::New);
            }
            Flaw::ExpiredCheckThenInsert => {
                let expired = raw.peek(key).is_some() && raw.get(key).await?.is_none();
                if expired {
                    yield_now().await;
                    raw.put(key, record, ttl);
                    return Ok(Created::New);
                }
            }
            Flaw::CreateOverwrites => {
                raw.put(key, record, ttl);
                return Ok(Created::New);
            }
            Flaw::ExpiredStopsCreate | Flaw::Tombstone => {
                if let Some(found) = raw.peek(key) {
                    return Ok(Created::Exists(found));
                }
            }
            Flaw::UnreadableOverwritten if raw.get(key).await.is_err() => {
                raw.put(key, record, ttl);
                return Ok(Created::New);
            }
            Flaw::Evicting => {
                let mut entries = raw.entries();
                while entries.len() >= 1000 {
                    entries.pop_first();
                }
            }
            _ => {}
        }
        match (self.flaw, self.inner.create(key, record, ttl).await) {
            (Flaw::FullEvicts, Err(error)) if error.kind() == StoreErrorKind::Full => {
                raw.entries().pop_first();
                raw.put(key, record, ttl);
                Ok(Created::New)
            }
            (Flaw::LostReplyIsSuccess, Err(error)) if error.kind() == StoreErrorKind::Unknown => {
                Ok(Created::New)
            }
            (Flaw::LoserToldItself, Ok(Created::Exists(found))) => Ok(Created::Exists(Stored {
                record: record.clone(),
                ..found
            })),
            (Flaw::LoserToldUnavailable, Ok(Created::Exists(_))) => {
                Err(StoreError::unavailable("somebody else was faster"))
            }
            (Flaw::LoserToldOldRecord, Ok(Created::Exists(found))) => {
                let before = lock(&self.shared.before).get(key).cloned().flatten();
                Ok(Created::Exists(before.unwrap_or(found)))
            }
            (Flaw::CreateForgetsItself, Ok(Created::Exists(found)))
                if found.record.version == record.version =>
            {
                Ok(Created::New)
            }
            (_, result) => result,
        }
    }

    /// Whether the flaw lets an update through, or a delete.
    fn lets_through(&self, found: &Stored, expected: Version, to: Option<&State>) -> bool {
        let there = found.record.version;
        let renewal = matches!(found.record.state, State::InFlight { .. })
            && matches!(to, Some(State::InFlight { .. }));
        match (self.flaw, to) {
            (Flaw::UnfencedUpdate, Some(_)) | (Flaw::UnfencedDelete, None) => true,
            (Flaw::UnfencedRenew, Some(_)) => renewal,
            (Flaw::RevisionIgnored, Some(_)) | (Flaw::DeleteIgnoresRevision, None) => {
                there.token == expected.token
            }
            (Flaw::TokenIgnored, Some(_)) => there.revision == expected.revision,
            (Flaw::NewerRevisionTaken, Some(_)) => {
                there.token == expected.token && there.revision <= expected.revision
            }
            _ => false,
        }
    }

    async fn update_broken(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let raw = &self.raw;
        let there = match self.flaw {
            Flaw::ExpiredToUpdate => raw.peek(key),
            _ => raw.get(key).await.unwrap_or_default(),
        };
        let matches = |found: &Stored| found.record.version == expected;
        match (self.flaw, there) {
            (_, Some(found)) if self.lets_through(&found, expected, Some(&record.state)) => {
                raw.put(key, record, ttl);
                return Ok(Updated::Done);
            }
            (Flaw::Upsert, None) => {
                raw.put(key, record, ttl);
                return Ok(Updated::Done);
            }
            (Flaw::CheckThenUpdate, Some(found)) if matches(&found) => {
                yield_now().await;
                raw.put(key, record, ttl);
                return Ok(Updated::Done);
            }
            (Flaw::ExpiredToUpdate, Some(found)) if matches(&found) => {
                raw.put(key, record, ttl);
                return Ok(Updated::Done);
            }
            (Flaw::VersionNotAdvanced, Some(found)) if matches(&found) => {
                let stale = Record {
                    version: expected,
                    ..record.clone()
                };
                raw.put(key, &stale, ttl);
                return Ok(Updated::Done);
            }
            (Flaw::UpdateForgetsItself, Some(found)) if found.record.version == record.version => {
                return Ok(Updated::Done);
            }
            (Flaw::HalfWritten, Some(found)) if matches(&found) => {
                let half = Record {
                    version: record.version,
                    ..found.record
                };
                raw.put(key, &half, ttl);
                yield_now().await;
                raw.put(key, record, ttl);
                return Ok(Updated::Done);
            }
            _ => {}
        }
        let first_written = raw.entries().get(key.as_str()).map(|entry| entry.written);
        let result = self.inner.update(key, expected, record, ttl).await;
        if let (Flaw::AgeFromCreation, Some(written)) = (self.flaw, first_written)
            && let Some(entry) = raw.entries().get_mut(key.as_str())
        {
            entry.written = written;
        }
        if self.flaw == Flaw::FullUpdateLosesRecord && result.is_err() {
            raw.remove(key);
        }
        result
    }

    async fn delete_broken(
        &self,
        key: &RecordKey,
        expected: Version,
    ) -> Result<Deleted, StoreError> {
        let raw = &self.raw;
        let there = match self.flaw {
            Flaw::ExpiredToDelete => raw.peek(key),
            _ => raw.get(key).await.unwrap_or_default(),
        };
        let matches = |found: &Stored| found.record.version == expected;
        match (self.flaw, there) {
            (_, Some(found)) if self.lets_through(&found, expected, None) => {
                raw.remove(key);
                Ok(Deleted::Done)
            }
            (Flaw::CheckThenDelete, Some(found)) if matches(&found) => {
                yield_now().await;
                raw.remove(key);
                Ok(Deleted::Done)
            }
            (Flaw::ExpiredToDelete, Some(found)) if matches(&found) => {
                raw.remove(key);
                Ok(Deleted::Done)
            }
            (Flaw::Tombstone, Some(found)) if matches(&found) => {
                raw.put(key, &found.record, Duration::ZERO);
                Ok(Deleted::Done)
            }
            (Flaw::DeleteByPattern, Some(found)) if matches(&found) => {
                let prefix = key.as_str().trim_end_matches('*').to_owned();
                raw.entries().retain(|text, _| !text.starts_with(&prefix));
                Ok(Deleted::Done)
            }
            (Flaw::DeleteOfNothingDone, None) => Ok(Deleted::Done),
            _ => self.inner.delete(key, expected).await,
        }
    }

    async fn get_broken(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        match self.flaw {
            Flaw::ExpiredToGet => Ok(self.raw.peek(key)),
            Flaw::StaleReplica => {
                let before = lock(&self.shared.before).get(key).cloned();
                match before {
                    Some(before) => Ok(before),
                    None => self.inner.get(key).await,
                }
            }
            Flaw::ReadCache => {
                let seen = lock(&self.handle.seen).get(key).cloned();
                match seen {
                    Some(seen) => Ok(seen),
                    None => {
                        let found = self.inner.get(key).await?;
                        lock(&self.handle.seen).insert(key.clone(), found.clone());
                        Ok(found)
                    }
                }
            }
            Flaw::AnswersMixedUp => {
                let found = self.inner.get(key).await?;
                lock(&self.shared.answers).push_back(found);
                yield_now().await;
                let answer = lock(&self.shared.answers).pop_front();
                Ok(answer.flatten())
            }
            Flaw::FailedGetIsAbsent | Flaw::UnreadableIsAbsent => {
                Ok(self.inner.get(key).await.unwrap_or_default())
            }
            _ => self.inner.get(key).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        self.slot().await?;
        let (key, record) = (&self.key(key), &self.record(record));
        let previous = self.raw.peek(key);
        let created = self.create_broken(key, record, self.ttl(record, ttl)).await;
        if matches!(created, Ok(Created::New)) {
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
        self.slot().await?;
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
        self.slot().await?;
        let key = &self.key(key);
        self.note(key);
        let deleted = self.delete_broken(key, expected).await;
        match deleted.map_err(|error| self.error(error))? {
            Deleted::Done => Ok(Deleted::Done),
            Deleted::Conflict(found) => Ok(Deleted::Conflict(self.refused(found))),
        }
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.slot().await?;
        let key = &self.key(key);
        let found = self
            .get_broken(key)
            .await
            .map_err(|error| self.error(error))?;
        Ok(self.told(found))
    }
}
