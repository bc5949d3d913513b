//! What the store behind the cache offers beyond the contract, the cache offers as well.

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, Store, StoreError, Sweep, Watch, Watcher},
};

use super::ReplayCache;

#[async_trait]
impl<S: Store + Watch> Watch for ReplayCache<S> {
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        self.store().watch(key).await
    }
}

#[async_trait]
impl<S: Store + Sweep> Sweep for ReplayCache<S> {
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.store().sweep(limit).await
    }
}

#[async_trait]
impl<S: Store + Browse> Browse for ReplayCache<S> {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.store().browse(filter, after, limit).await
    }
}
