//! A store that, as Redis, says how long a record stays only when it is asked with `get`.

use std::time::Duration;

use idem_conformance::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use idem_memory::MemoryStore;

pub(crate) struct Silent(pub(crate) MemoryStore);

#[async_trait]
impl Store for Silent {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        Ok(match self.0.create(key, record, ttl).await? {
            Created::Exists(stored) if stored.record.state.is_final() => Created::Exists(Stored {
                age: None,
                remaining: None,
                ..stored
            }),
            created => created,
        })
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
        self.0.delete(key, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.0.get(key).await
    }
}
