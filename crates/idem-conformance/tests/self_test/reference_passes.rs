//! The whole suite against the reference store, with every capability: nothing is skipped.

use std::sync::OnceLock;

use crate::reference::{Reference, ReferenceStore};

/// All tests of the process share one store, as they would share a server.
async fn harness() -> Reference {
    static SHARED: OnceLock<ReferenceStore> = OnceLock::new();
    Reference(SHARED.get_or_init(ReferenceStore::default).clone())
}

idem_conformance::suite!(harness);
