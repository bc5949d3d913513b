//! The conformance suite against the store, and against the cache in front of it: over a store that
//! says how long a record stays, and over one that does not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "replay-cache")]
mod cached;
mod memory;
#[cfg(feature = "replay-cache")]
mod silent;

#[cfg(feature = "replay-cache")]
use cached::CacheHarness;
use memory::MemoryHarness;

async fn store() -> MemoryHarness {
    MemoryHarness::default()
}

#[cfg(feature = "replay-cache")]
async fn cache() -> CacheHarness {
    CacheHarness::telling()
}

#[cfg(feature = "replay-cache")]
async fn cache_over_silence() -> CacheHarness {
    CacheHarness::silent()
}

idem_conformance::suite!(alone, store);
#[cfg(feature = "replay-cache")]
idem_conformance::suite!(cache_in_front, cache);
#[cfg(feature = "replay-cache")]
idem_conformance::suite!(cache_in_front_of_a_silent_store, cache_over_silence);
