//! Waking whoever waits for a key of the same store, be it through another engine.

use std::{collections::HashMap, future::pending, sync::Arc};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{StoreError, Watch, Watcher},
};
use tokio::sync::watch::{Receiver, Sender};

use crate::MemoryStore;

/// Tells watchers of one key that something changed.
pub(crate) type Bell = Arc<Sender<()>>;

/// Who watches which key of a shard, by the hash of the key.
#[derive(Default)]
pub(crate) struct Watched {
    bells: HashMap<u64, Bell>,
}

impl Watched {
    /// The bell to ring once the change is made and the shard's lock is let go.
    pub(crate) fn bell(&self, hash: u64) -> Option<Bell> {
        if self.bells.is_empty() {
            return None;
        }
        self.bells.get(&hash).cloned()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.bells.len()
    }

    fn enter(&mut self, hash: u64) -> Receiver<()> {
        self.bells.entry(hash).or_default().subscribe()
    }

    fn leave(&mut self, hash: u64, watcher: Receiver<()>) {
        drop(watcher);
        if let Some(bell) = self.bells.get(&hash)
            && bell.receiver_count() == 0
        {
            self.bells.remove(&hash);
        }
    }
}

#[async_trait]
impl Watch for MemoryStore {
    /// Listens for writes and deletions of this key by anybody who shares the store. An expiry is
    /// no change: nothing happens at that moment. Never fails.
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        let hash = self.hashed(key).hash;
        let changes = self.shard(hash).watched().enter(hash);
        Ok(Box::new(KeyWatcher {
            store: self.clone(),
            hash,
            changes: Some(changes),
        }))
    }
}

struct KeyWatcher {
    store: MemoryStore,
    hash: u64,
    /// Taken out when the watcher goes.
    changes: Option<Receiver<()>>,
}

#[async_trait]
impl Watcher for KeyWatcher {
    async fn changed(&mut self) {
        match &mut self.changes {
            // The sender outlives its receivers, so this gives no error.
            Some(changes) => drop(changes.changed().await),
            None => pending().await,
        }
    }
}

impl Drop for KeyWatcher {
    fn drop(&mut self) {
        if let Some(changes) = self.changes.take() {
            let mut shard = self.store.shard(self.hash);
            shard.watched().leave(self.hash, changes);
        }
    }
}
