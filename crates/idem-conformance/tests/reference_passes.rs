//! The whole suite against the reference store, with faults injected by [`FaultStore`].

mod reference;

use std::sync::{Arc, OnceLock};

use idem_conformance::{FaultStore, Faults, Harness, async_trait};
use idem_core::Store;
use reference::ReferenceStore;

struct Reference(ReferenceStore);

#[async_trait]
impl Harness for Reference {
    fn name(&self) -> String {
        "reference".to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(Box::new(FaultStore::new(self.0.clone())))
    }
}

/// All tests of the process share one store, as they would share a server.
async fn harness() -> Reference {
    static SHARED: OnceLock<ReferenceStore> = OnceLock::new();
    Reference(SHARED.get_or_init(ReferenceStore::default).clone())
}

idem_conformance::suite!(harness);
