//! Purging expired records, which the server does by itself.

use async_trait::async_trait;
use idem_core::store::{StoreError, Sweep};

use crate::RedisStore;

/// Does nothing, and says so: the server purges what expired.
#[async_trait]
impl Sweep for RedisStore {
    async fn sweep(&self, _limit: usize) -> Result<usize, StoreError> {
        Ok(0)
    }
}
