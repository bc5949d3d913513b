//! [`Recording`]: a store whose calls and answers are written down.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};

use crate::{
    event::{Call, Event, Id, Reply, Seen},
    journal::Journal,
    key::KeyId,
};

tokio::task_local! {
    /// The client's question that the current task works on.
    static BY: Id;
}

/// Runs something on behalf of a client's question, so that its calls bear the question's number.
pub(crate) async fn on_behalf_of<F: Future>(question: Id, what: F) -> F::Output {
    BY.scope(question, what).await
}

/// Writes every call down before it goes to the store, and every answer as it came back. A call
/// that is dropped half-way has no answer.
pub(crate) struct Recording<S> {
    inner: S,
    journal: Arc<Journal>,
}

impl<S> Recording<S> {
    pub(crate) fn new(inner: S, journal: Arc<Journal>) -> Self {
        Self { inner, journal }
    }

    async fn recorded<T>(
        &self,
        key: &RecordKey,
        what: Call,
        call: impl Future<Output = Result<T, StoreError>>,
        read: impl Fn(&T) -> Reply,
    ) -> Result<T, StoreError> {
        let id = self.journal.id();
        let key = KeyId::of(key).expect("no other keys are used here");
        let by = BY.try_with(|by| *by).ok();
        self.journal.write(Event::Call { id, by, key, what });
        let answer = call.await;
        let reply = match &answer {
            Ok(answer) => read(answer),
            Err(error) => Reply::Failed(error.kind().into()),
        };
        self.journal.write(Event::Reply { id, reply });
        answer
    }
}

#[async_trait]
impl<S: Store> Store for Recording<S> {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let what = Call::Create {
            record: record.into(),
            ttl_ms: whole_millis(ttl),
        };
        let call = self.inner.create(key, record, ttl);
        self.recorded(key, what, call, |created| match created {
            Created::New => Reply::Applied,
            Created::Exists(found) => Reply::Found(found.into()),
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
        let what = Call::Update {
            expected: expected.into(),
            record: record.into(),
            ttl_ms: whole_millis(ttl),
        };
        let call = self.inner.update(key, expected, record, ttl);
        self.recorded(key, what, call, |updated| match updated {
            Updated::Done => Reply::Applied,
            Updated::Conflict(found) => seen(found.as_ref()),
        })
        .await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let what = Call::Delete {
            expected: expected.into(),
        };
        let call = self.inner.delete(key, expected);
        self.recorded(key, what, call, |deleted| match deleted {
            Deleted::Done => Reply::Applied,
            Deleted::Conflict(found) => seen(found.as_ref()),
        })
        .await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let call = self.inner.get(key);
        self.recorded(key, Call::Get, call, |found| seen(found.as_ref()))
            .await
    }
}

fn seen(found: Option<&Stored>) -> Reply {
    found.map_or(Reply::Vacant, |found| Reply::Found(Seen::from(found)))
}

/// Rounded up, as every store does.
fn whole_millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use idem_core::{Claim, Idempotency};
    use idem_memory::MemoryStore;

    use super::*;
    use crate::{event::Line, journal, key};

    #[tokio::test]
    async fn calls_bear_the_number_of_the_question_they_are_made_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let journal = Arc::new(Journal::create(&path, 1).unwrap());
        let store = Recording::new(MemoryStore::new(), journal);
        let engine = Idempotency::builder(store).build().unwrap();
        let key = KeyId { era: 1, index: 0 };
        let (record_key, request) = (key.record_key(), key::fingerprint(0));
        let claim = on_behalf_of(7, engine.claim(&record_key, &request)).await;
        let Ok(Claim::Acquired(execution)) = claim else {
            panic!("{claim:?}");
        };
        execution.complete("done").await.unwrap();

        let mut seen = Vec::new();
        journal::read(&path, |Line(_, event)| {
            seen.push(match event {
                Event::Call { by, what, .. } => match what {
                    Call::Create { .. } => ("create", by),
                    Call::Update { .. } => ("update", by),
                    _ => ("other", by),
                },
                Event::Reply {
                    reply: Reply::Applied,
                    ..
                } => ("applied", None),
                _ => ("other", None),
            });
        })
        .unwrap();
        let expected = [
            ("create", Some(7)),
            ("applied", None),
            ("update", None),
            ("applied", None),
        ];
        assert_eq!(seen, expected);
    }
}
