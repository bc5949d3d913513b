//! A broken store as the suite sees it: a harness with every capability.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use idem_conformance::{
    Browsing, Corrupt, Fault, FaultStore, Faults, Fill, Harness, Restart, Skipped, SteppedClock,
    Sweeping, async_trait,
};
use idem_core::{
    RecordKey,
    store::{Browse, Store, Watch},
};
use tokio::time::Instant;

use super::{
    Flaw,
    optional::BrokenOptional,
    store::{BrokenStore, Shared},
};
use crate::reference::{LIMIT, Reference, ReferenceStore};

#[derive(Clone)]
pub(crate) struct Broken {
    flaw: Flaw,
    raw: ReferenceStore,
    shared: Arc<Shared>,
}

impl Broken {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            raw: ReferenceStore::default(),
            shared: Arc::default(),
        }
    }

    /// One that takes so many records for many.
    pub(crate) fn with_room_for(flaw: Flaw, records: usize) -> Self {
        let broken = Self::new(flaw);
        broken.shared.most.store(records, Ordering::SeqCst);
        broken
    }

    pub(crate) fn handle(&self) -> Arc<dyn Store> {
        Arc::new(BrokenStore::new(self.flaw, &self.raw, &self.shared))
    }

    fn optional(&self) -> Arc<BrokenOptional> {
        Arc::new(BrokenOptional {
            flaw: self.flaw,
            raw: self.raw.clone(),
        })
    }
}

#[async_trait]
impl Harness for Broken {
    fn name(&self) -> String {
        format!("broken: {:?}", self.flaw)
    }

    /// Some flaws show only when nothing happens for long enough: that shall not take long.
    fn time_scale(&self) -> f64 {
        match self.flaw {
            Flaw::HangsOnDelete => 0.025,
            _ => 0.25,
        }
    }

    fn payload_limit(&self) -> Option<usize> {
        Some(LIMIT)
    }

    async fn store(&self) -> Arc<dyn Store> {
        self.handle()
    }

    /// A process that began an hour before this one.
    async fn elsewhere(&self) -> Option<Arc<dyn Store>> {
        let mut other = BrokenStore::new(self.flaw, &self.raw, &self.shared);
        if self.flaw == Flaw::ProcessClock {
            other.clock = Arc::new(AtomicI64::new(3600));
        }
        Some(Arc::new(other))
    }

    async fn clock(&self) -> Option<Box<dyn SteppedClock>> {
        let store = BrokenStore::new(self.flaw, &self.raw, &self.shared);
        Some(Box::new(Stepping(self.flaw, store)))
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        Some(Box::new(self.clone()))
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(Box::new(BrokenUnderFaults {
            broken: self.clone(),
            faults: FaultStore::new(self.raw.clone()),
        }))
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        Some(Box::new(self.clone()))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        Some(Box::new(self.clone()))
    }

    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        Some(self.optional())
    }

    async fn sweep(&self) -> Option<Sweeping> {
        Some(Sweeping {
            store: self.handle(),
            sweep: self.optional(),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        Some(Browsing {
            store: self.handle(),
            browse: self.optional(),
        })
    }
}

#[async_trait]
impl Restart for Broken {
    async fn store(&self) -> Arc<dyn Store> {
        self.handle()
    }

    async fn run(&self) -> Option<String> {
        Some(self.shared.runs.load(Ordering::SeqCst).to_string())
    }

    /// At once, as an embedded database opens its file again.
    async fn restart(&self) {
        if self.flaw == Flaw::RestartDoesNothing {
            return;
        }
        self.shared.runs.fetch_add(1, Ordering::SeqCst);
        let mut entries = self.raw.entries();
        match self.flaw {
            Flaw::RestartForgets => entries.clear(),
            Flaw::RestartForgetsAge => {
                for entry in entries.values_mut() {
                    entry.written = Instant::now();
                }
            }
            _ => {}
        }
    }
}

struct Stepping(Flaw, BrokenStore);

#[async_trait]
impl SteppedClock for Stepping {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.1.clone())
    }

    async fn forward(&self, by: Duration) {
        if self.0 == Flaw::SteppingClock {
            let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
            self.1.clock.fetch_add(by, Ordering::SeqCst);
        }
    }

    async fn back(&self, by: Duration) {
        if self.0 == Flaw::SteppingClock {
            let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
            self.1.clock.fetch_sub(by, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Fill for Broken {
    async fn store(&self) -> Arc<dyn Store> {
        self.handle()
    }

    async fn fill(&self) {
        self.raw.leave_room(1024);
    }
}

#[async_trait]
impl Corrupt for Broken {
    async fn store(&self) -> Arc<dyn Store> {
        self.handle()
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        Reference(self.raw.clone()).write_unknown_format(key).await;
    }

    async fn damage(&self, key: &RecordKey) {
        Reference(self.raw.clone()).damage(key).await;
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        Reference(self.raw.clone()).raw(key).await
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(self.optional())
    }
}

/// The flaw is in the adapter; the faults are behind it.
struct BrokenUnderFaults {
    broken: Broken,
    faults: FaultStore<ReferenceStore>,
}

#[async_trait]
impl Faults for BrokenUnderFaults {
    async fn store(&self) -> Arc<dyn Store> {
        let Broken { flaw, raw, shared } = &self.broken;
        let behind = Faults::store(&self.faults).await;
        Arc::new(BrokenStore::over(*flaw, behind, raw, shared))
    }

    async fn truth(&self) -> Arc<dyn Store> {
        self.faults.truth().await
    }

    async fn inject(&self, fault: Fault) -> Result<(), Skipped> {
        self.faults.inject(fault).await
    }

    async fn heal(&self) {
        Faults::heal(&self.faults).await;
    }
}
