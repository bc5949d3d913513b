//! The store by itself.

use std::{sync::Arc, time::Duration};

use idem_conformance::{Browsing, FaultStore, Faults, Fill, Harness, Sweeping, async_trait};
use idem_core::{
    Bytes, Fingerprint, IdempotencyKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, StoreErrorKind, Version, Watch},
};
use idem_memory::{MemoryConfig, MemoryStore};

#[derive(Default)]
pub(crate) struct MemoryHarness(MemoryStore);

#[async_trait]
impl Harness for MemoryHarness {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(Box::new(FaultStore::new(self.0.clone())))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        Some(Box::new(Small::default()))
    }

    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        Some(Arc::new(self.0.clone()))
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let store = MemoryStore::new();
        Some(Sweeping {
            store: Arc::new(store.clone()),
            sweep: Arc::new(store),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        Some(Browsing {
            store: Arc::new(self.0.clone()),
            browse: Arc::new(self.0.clone()),
        })
    }
}

/// A store of 16 MiB.
pub(crate) struct Small(MemoryStore);

impl Small {
    pub(crate) fn handle(&self) -> MemoryStore {
        self.0.clone()
    }
}

impl Default for Small {
    fn default() -> Self {
        let config = MemoryConfig::default().max_bytes(16 << 20);
        Self(MemoryStore::with_config(config))
    }
}

#[async_trait]
impl Fill for Small {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn fill(&self) {
        let filler = filler(60 << 10);
        for n in 0.. {
            let key = IdempotencyKey::new(format!("filler-{n}")).unwrap();
            let key = Scope::global().key(&key);
            match self.0.create(&key, &filler, Duration::from_secs(600)).await {
                Ok(created) => assert_eq!(created, Created::New),
                Err(error) => return assert_eq!(error.kind(), StoreErrorKind::Full),
            }
        }
    }
}

fn filler(bytes: usize) -> Record {
    Record {
        fingerprint: Fingerprint::of("filler", b""),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([1; 16]),
            revision: 1,
        },
        created_at: Timestamp::default(),
        state: State::Completed {
            payload: Bytes::from(vec![0; bytes]),
        },
    }
}
