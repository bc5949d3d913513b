//! The conformance suite against the store, and against a cache of replays in front of it: over a
//! store that says how long a record stays, and over one that does not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cached;
mod memory;
mod silent;

use cached::CacheHarness;
use memory::MemoryHarness;

async fn store() -> MemoryHarness {
    MemoryHarness::default()
}

async fn cache() -> CacheHarness {
    CacheHarness::telling()
}

async fn cache_over_silence() -> CacheHarness {
    CacheHarness::silent()
}

idem_conformance::suite!(alone, store);
idem_conformance::suite!(cache_in_front, cache);
idem_conformance::suite!(cache_in_front_of_a_silent_store, cache_over_silence);
