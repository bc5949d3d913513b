//! [`Misconfigured`].

use std::time::Duration;

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};

/// A store that is set up wrong, whatever it is asked.
pub(crate) struct Misconfigured;

#[async_trait]
impl Store for Misconfigured {
    async fn create(&self, _: &RecordKey, _: &Record, _: Duration) -> Result<Created, StoreError> {
        Err(StoreError::config("no such table"))
    }
    async fn update(
        &self,
        _: &RecordKey,
        _: Version,
        _: &Record,
        _: Duration,
    ) -> Result<Updated, StoreError> {
        Err(StoreError::config("no such table"))
    }
    async fn delete(&self, _: &RecordKey, _: Version) -> Result<Deleted, StoreError> {
        Err(StoreError::config("no such table"))
    }
    async fn get(&self, _: &RecordKey) -> Result<Option<Stored>, StoreError> {
        Err(StoreError::config("no such table"))
    }
}
