//! The whole suite against the reference store.

mod reference;

use std::sync::{Arc, OnceLock};

use idem_conformance::{Harness, async_trait};
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
}

/// All tests of the process share one store, as they would share a server.
async fn harness() -> Reference {
    static SHARED: OnceLock<ReferenceStore> = OnceLock::new();
    Reference(SHARED.get_or_init(ReferenceStore::default).clone())
}

idem_conformance::suite!(harness);
