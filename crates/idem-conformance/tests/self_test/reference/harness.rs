//! The reference store with every capability there is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use idem_conformance::{
    Browsing, Corrupt, FaultStore, Faults, Fill, Harness, Restart, SteppedClock, Sweeping,
    async_trait,
};
use idem_core::{
    Bytes, RecordKey,
    store::{Browse, Store, Watch},
};

use super::{LIMIT, ReferenceStore};

#[derive(Clone, Default)]
pub(crate) struct Reference(pub(crate) ReferenceStore);

/// The runs of servers that were ever begun.
static RUNS: AtomicU64 = AtomicU64::new(0);

#[async_trait]
impl Harness for Reference {
    fn name(&self) -> String {
        "reference".to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn payload_limit(&self) -> Option<usize> {
        Some(LIMIT)
    }

    async fn elsewhere(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(self.0.clone()))
    }

    async fn clock(&self) -> Option<Box<dyn SteppedClock>> {
        Some(Box::new(self.clone()))
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        Some(Box::new(self.clone()))
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(Box::new(FaultStore::new(self.0.clone())))
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        Some(Box::<Self>::default())
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        Some(Box::<Self>::default())
    }

    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        Some(Arc::new(self.0.clone()))
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let store = ReferenceStore::default();
        Some(Sweeping {
            store: Arc::new(store.clone()),
            sweep: Arc::new(store),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        let store = ReferenceStore::default();
        Some(Browsing {
            store: Arc::new(store.clone()),
            browse: Arc::new(store),
        })
    }
}

/// Memory that outlives its server, as a file would.
#[async_trait]
impl Restart for Reference {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn restart(&self) {
        RUNS.fetch_add(1, Ordering::SeqCst);
    }

    async fn run(&self) -> Option<String> {
        Some(RUNS.load(Ordering::SeqCst).to_string())
    }
}

/// It reads a clock that does not step.
#[async_trait]
impl SteppedClock for Reference {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn forward(&self, _: Duration) {}

    async fn back(&self, _: Duration) {}
}

#[async_trait]
impl Corrupt for Reference {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.replace_bytes(key, |bytes| bytes[0] = 200);
    }

    async fn damage(&self, key: &RecordKey) {
        self.replace_bytes(key, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
        });
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        let entries = self.0.entries();
        entries.get(key.as_str()).map(|entry| entry.value.to_vec())
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(Arc::new(self.0.clone()))
    }
}

impl Reference {
    fn replace_bytes(&self, key: &RecordKey, change: impl FnOnce(&mut Vec<u8>)) {
        let mut entries = self.0.entries();
        let entry = entries.get_mut(key.as_str()).expect("the case wrote it");
        let mut bytes = entry.value.to_vec();
        change(&mut bytes);
        entry.value = Bytes::from(bytes);
    }
}

#[async_trait]
impl Fill for Reference {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn fill(&self) {
        self.0.leave_room(1024);
    }
}
