//! Flaws in what an update, a delete and a get do.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Deleted, Record, State, Store, StoreError, Stored, Updated, Version},
};
use tokio::task::yield_now;

use super::{
    Flaw,
    store::{BrokenStore, lock},
};

fn same_bits(there: Version, expected: Version, bits: u64) -> bool {
    there.revision & bits == expected.revision & bits
}

impl BrokenStore {
    /// Whether the flaw lets an update through, or a delete.
    pub(super) fn lets_through(
        &self,
        found: &Stored,
        expected: Version,
        to: Option<&State>,
    ) -> bool {
        let there = found.record.version;
        let renewal = matches!(found.record.state, State::InFlight { .. })
            && matches!(to, Some(State::InFlight { .. }));
        match (self.flaw, to) {
            (Flaw::UnfencedUpdate, Some(_)) | (Flaw::UnfencedDelete, None) => true,
            (Flaw::UnfencedRenew, Some(_)) => renewal,
            (Flaw::RevisionIgnored, Some(_)) | (Flaw::DeleteIgnoresRevision, None) => {
                there.token == expected.token
            }
            (Flaw::TokenHalfCompared, _) => {
                there.token.as_bytes()[..8] == expected.token.as_bytes()[..8]
            }
            (Flaw::RevisionModulo8Bits, _) => {
                there.token == expected.token && same_bits(there, expected, 0xff)
            }
            (Flaw::RevisionModulo32Bits, _) => {
                there.token == expected.token && same_bits(there, expected, 0xffff_ffff)
            }
            (Flaw::RevisionAsDouble, _) => {
                there.token == expected.token && there.revision as f64 == expected.revision as f64
            }
            (Flaw::TokenIgnored, Some(_)) => there.revision == expected.revision,
            (Flaw::NewerRevisionTaken, Some(_)) => {
                there.token == expected.token && there.revision <= expected.revision
            }
            _ => false,
        }
    }

    pub(super) async fn update_broken(
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

    pub(super) async fn delete_broken(
        &self,
        key: &RecordKey,
        expected: Version,
    ) -> Result<Deleted, StoreError> {
        let raw = &self.raw;
        if let Some(entry) = raw.entries().get(key.as_str()) {
            lock(&self.shared.deleted).insert(key.clone(), entry.written);
        }
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

    pub(super) async fn get_broken(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        match self.flaw {
            Flaw::ExpiredToGet => Ok(self.raw.peek(key)),
            Flaw::EmptyScopeIsNull if key.scope().is_empty() => Ok(None),
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
