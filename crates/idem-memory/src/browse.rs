//! Listing a store, in the order of the keys' hashes: it is the same for as long as the store
//! lives, whatever is written meanwhile.

use async_trait::async_trait;
use idem_core::store::{Browse, Cursor, Filter, Page, StoreError};

use crate::{MemoryStore, error};

#[async_trait]
impl Browse for MemoryStore {
    /// Each page goes through one shard at least: about `records / shards` of them.
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let after = after.map(|cursor| self.position(cursor)).transpose()?;
        let limit = limit.max(1);
        let mut page = Page::default();
        for index in after.map_or(0, |hash| self.shard_index(hash))..self.shards() {
            let listed = {
                let shard = self.shard_at(index);
                let now = self.now();
                shard.page(after, limit - page.records.len(), now)
            };
            let last = listed.last().map(|listed| listed.hash);
            let records = listed.into_iter().map(|listed| (listed.key, listed.stored));
            page.records.extend(records);
            if let Some(last) = last.filter(|_| page.records.len() >= limit) {
                page.next = Some(self.cursor(last));
                break;
            }
        }
        page.records
            .retain(|(key, stored)| filter.passes(key, stored));
        Ok(page)
    }
}

impl MemoryStore {
    fn cursor(&self, hash: u64) -> Cursor {
        Cursor(format!("{:016x}.{hash:016x}", self.id()))
    }

    fn position(&self, cursor: &Cursor) -> Result<u64, StoreError> {
        let (id, hash) = cursor.0.split_once('.').ok_or_else(error::foreign_cursor)?;
        match (u64::from_str_radix(id, 16), u64::from_str_radix(hash, 16)) {
            (Ok(id), Ok(hash)) if id == self.id() => Ok(hash),
            _ => Err(error::foreign_cursor()),
        }
    }
}
