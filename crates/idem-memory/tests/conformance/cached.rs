//! A cache of replays in front of the store.
//!
//! Handles share one cache. Another process would have one of its own, and would replay an ended
//! record that somebody deleted by hand here until its `max_age` is over: the engine never deletes
//! one, the suite does.

use std::sync::Arc;

use idem_conformance::{
    Browsing, Fault, FaultStore, Faults, Fill, Harness, Skipped, Sweeping, async_trait,
};
use idem_core::store::{Browse, Store, Sweep, Watch};
use idem_memory::{MemoryStore, ReplayCache};

use crate::{memory::Small, silent::Silent};

pub(crate) enum CacheHarness {
    Telling(ReplayCache<MemoryStore>),
    Silent(ReplayCache<Silent>),
}

impl CacheHarness {
    pub(crate) fn telling() -> Self {
        Self::Telling(ReplayCache::new(MemoryStore::new()))
    }

    pub(crate) fn silent() -> Self {
        Self::Silent(ReplayCache::new(Silent(MemoryStore::new())))
    }
}

#[async_trait]
impl Harness for CacheHarness {
    fn name(&self) -> String {
        match self {
            Self::Telling(_) => "replay cache",
            Self::Silent(_) => "replay cache, silent store",
        }
        .to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Telling(cache) => Arc::new(cache.clone()),
            Self::Silent(cache) => Arc::new(cache.clone()),
        }
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        let faults = FaultStore::new(MemoryStore::new());
        let cache = ReplayCache::new(faults.clone());
        Some(Box::new(FaultsBehind { faults, cache }))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        let small = Small::default();
        let cache = ReplayCache::new(small.handle());
        Some(Box::new(FullBehind { small, cache }))
    }

    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        match self {
            Self::Telling(cache) => Some(Arc::new(cache.clone())),
            Self::Silent(_) => None,
        }
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let cache = ReplayCache::new(MemoryStore::new());
        let sweep: Arc<dyn Sweep> = Arc::new(cache.clone());
        let store = Arc::new(cache);
        Some(Sweeping { store, sweep })
    }

    async fn browse(&self) -> Option<Browsing> {
        let cache = ReplayCache::new(MemoryStore::new());
        let browse: Arc<dyn Browse> = Arc::new(cache.clone());
        let store = Arc::new(cache);
        Some(Browsing { store, browse })
    }
}

/// Faults hit what is behind the cache.
struct FaultsBehind {
    faults: FaultStore<MemoryStore>,
    cache: ReplayCache<FaultStore<MemoryStore>>,
}

#[async_trait]
impl Faults for FaultsBehind {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.cache.clone())
    }

    async fn truth(&self) -> Arc<dyn Store> {
        Faults::truth(&self.faults).await
    }

    async fn inject(&self, fault: Fault) -> Result<(), Skipped> {
        Faults::inject(&self.faults, fault).await
    }

    async fn heal(&self) {
        Faults::heal(&self.faults).await;
    }
}

struct FullBehind {
    small: Small,
    cache: ReplayCache<MemoryStore>,
}

#[async_trait]
impl Fill for FullBehind {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.cache.clone())
    }

    async fn fill(&self) {
        self.small.fill().await;
    }
}
