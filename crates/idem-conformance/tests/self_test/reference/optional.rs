//! What the reference store offers beyond the four operations.

use std::ops::Bound;

use idem_conformance::async_trait;
use idem_core::{
    RecordKey,
    store::{Browse, Cursor, Filter, Page, StoreError, Sweep, Unreadable, Watch, Watcher},
};
use tokio::sync::broadcast::{self, error::RecvError};

use super::ReferenceStore;

#[async_trait]
impl Watch for ReferenceStore {
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        Ok(Box::new(Changes {
            key: key.as_str().to_owned(),
            changes: self.shared.changes.subscribe(),
        }))
    }
}

struct Changes {
    key: String,
    changes: broadcast::Receiver<String>,
}

#[async_trait]
impl Watcher for Changes {
    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok(key) if key != self.key => {}
                // What was missed may have been ours.
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[async_trait]
impl Sweep for ReferenceStore {
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let mut entries = self.entries();
        let is_expired = |entry: &super::Entry| matches!(entry.stored(), Ok(None));
        let expired: Vec<_> = entries
            .iter()
            .filter(|(_, entry)| is_expired(entry))
            .map(|(key, _)| key.clone())
            .take(limit)
            .collect();
        for key in &expired {
            entries.remove(key);
        }
        Ok(expired.len())
    }
}

#[async_trait]
impl Browse for ReferenceStore {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let start = match after {
            None => Bound::Unbounded,
            Some(Cursor(text)) => match text.strip_prefix("after ") {
                Some(key) => Bound::Excluded(key),
                None => return Err(StoreError::config("begin the listing anew")),
            },
        };
        let entries = self.entries();
        let mut page = Page::default();
        let mut last = None;
        for (n, (text, entry)) in entries
            .range::<str, _>((start, Bound::Unbounded))
            .enumerate()
        {
            if n == limit {
                page.next = last.map(|key| Cursor(format!("after {key}")));
                break;
            }
            last = Some(text);
            let key = RecordKey::parse(text).expect("the store filed it under a key");
            match entry.stored() {
                Ok(Some(stored)) if filter.passes(&key, &stored) => {
                    page.records.push((key, stored));
                }
                Ok(_) => {}
                Err(error) if filter.takes_scope(key.scope()) => page.unreadable.push(Unreadable {
                    key: text.clone(),
                    error,
                }),
                Err(_) => {}
            }
        }
        Ok(page)
    }
}
