#![doc = include_str!("../README.md")]
//!
//! [`MemoryStore`] is a whole [`Store`](idem_core::store::Store), for tests and for services of one
//! process. Its records go with the process; where they have to outlive it, take `idem-redis` or
//! `idem-postgres`. With the feature `replay-cache`, `ReplayCache` serves stored answers of any
//! store from memory.
//!
//! # Why a map of its own
//! A cache evicts: moka, as any cache, drops entries as it sees fit, and an idempotency record that
//! is dropped early is a second charge (rule S6). It also keeps its bookkeeping in queues that a
//! thread works off now and then, so it cannot say at the moment of a write whether there is room.
//! The store is therefore a plain sharded hash table with a queue of expiry dates in each shard.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod browse;
mod clock;
mod config;
mod error;
mod expiry;
#[cfg(feature = "replay-cache")]
mod replay;
mod room;
mod shard;
mod slot;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod watch;

pub use clock::{Clock, ManualClock, MonotonicClock};
pub use config::MemoryConfig;
#[cfg(feature = "replay-cache")]
pub use replay::{ReplayCache, ReplayCacheConfig};
pub use store::MemoryStore;
