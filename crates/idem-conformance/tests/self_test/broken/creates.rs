//! Flaws in what a create does.

use std::{sync::atomic::Ordering, time::Duration};

use idem_core::{
    RecordKey,
    store::{Created, Record, Store, StoreError, StoreErrorKind, Stored},
};
use tokio::task::yield_now;

use super::{
    Flaw,
    store::{BrokenStore, lock},
};

impl BrokenStore {
    pub(super) async fn create_broken(
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
            Flaw::CreateTakesGoneForNew if raw.get(key).await?.is_some() => {
                yield_now().await;
                if let Some(found) = raw.get(key).await? {
                    return Ok(Created::Exists(found));
                }
                return Ok(Created::New);
            }
            Flaw::ExpiredRemovedThenInserted => {
                let _alone = self.handle.one_at_a_time.lock().await;
                if raw.peek(key).is_some() && raw.get(key).await?.is_none() {
                    // Some handles are slower than others.
                    for _ in 0..=2 * (self.handle.number % 4) {
                        yield_now().await;
                    }
                    raw.remove(key);
                }
                return self.inner.create(key, record, ttl).await;
            }
            Flaw::ExpiredKeepsAge | Flaw::DeletedKeepsAge => {
                let expired = raw.entries().get(key.as_str()).map(|entry| entry.written);
                let deleted = lock(&self.shared.deleted).get(key).copied();
                let written = match self.flaw {
                    Flaw::ExpiredKeepsAge => expired,
                    _ => deleted,
                };
                let created = self.inner.create(key, record, ttl).await;
                if let (Ok(Created::New), Some(written)) = (&created, written)
                    && let Some(entry) = raw.entries().get_mut(key.as_str())
                {
                    entry.written = written;
                }
                return created;
            }
            Flaw::EmptyScopeIsNull if key.scope().is_empty() => return Ok(Created::New),
            Flaw::CreateOverwrites => {
                raw.put(key, record, ttl);
                return Ok(Created::New);
            }
            Flaw::EarlierStampWins => {
                let there = raw.get(key).await?;
                if there.is_some_and(|there| record.created_at < there.record.created_at) {
                    raw.put(key, record, ttl);
                    return Ok(Created::New);
                }
            }
            Flaw::ExpiredStopsCreate | Flaw::Tombstone => {
                if let Some(found) = raw.peek(key) {
                    return Ok(Created::Exists(found));
                }
            }
            Flaw::UnreadableForEver if self.unreadable(key) => {
                return Err(StoreError::corrupt("it cannot be read, whatever the time"));
            }
            Flaw::UnreadableOverwritten if raw.get(key).await.is_err() => {
                raw.put(key, record, ttl);
                return Ok(Created::New);
            }
            Flaw::Evicting => {
                let mut entries = raw.entries();
                while entries.len() >= self.shared.most.load(Ordering::SeqCst) {
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

    /// What lies there cannot be read, expired or not.
    fn unreadable(&self, key: &RecordKey) -> bool {
        let there = self.raw.entries().contains_key(key.as_str());
        there && self.raw.peek(key).is_none()
    }
}
