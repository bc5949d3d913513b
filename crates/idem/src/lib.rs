//! Idempotency keys: a client retries, the server acts once.
//!
//! The first request with a key runs; every repeat gets *the same stored answer*; a different
//! request under the same key is refused; two at once never both run; and a crash half-way is told
//! apart from success.
//!
//! This crate is the one to add. It re-exports the core, and a feature brings each store and each
//! framework:
//!
//! | feature | module | what it brings |
//! |---|---|---|
//! | `memory` (default) | [`memory`] | records in this process: tests, single-process services |
//! | `redis` | `redis` | Redis and Valkey: alone, Sentinel, Cluster |
//! | `postgres` | `postgres` | PostgreSQL, and transactions that commit your rows with the record |
//! | `tower`, `axum` | `tower` | a tower `Layer` for axum, hyper and anything tower |
//! | `reqwest` | `http::client` | the client's half, as a middleware of reqwest |
//! | `http` | `http` | the semantics of the `Idempotency-Key` header, for an integration of your own |

#[doc(inline)]
pub use idem_core::*;

/// Records in this process.
#[cfg(feature = "memory")]
pub mod memory {
    pub use idem_memory::*;
}

/// Redis and Valkey.
#[cfg(feature = "redis")]
pub mod redis {
    pub use idem_redis::*;
}

/// PostgreSQL.
#[cfg(feature = "postgres")]
pub mod postgres {
    pub use idem_postgres::*;
}

/// The semantics of the `Idempotency-Key` header, without a framework.
#[cfg(feature = "http")]
pub mod http {
    pub use idem_http::*;
}

/// The layer for axum, hyper and anything tower.
#[cfg(feature = "tower")]
pub mod tower {
    pub use idem_tower::*;
}
