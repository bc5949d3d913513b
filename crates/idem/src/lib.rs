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
//! | `sqlite` | `sqlite` | durable records in one file, without a server; your rows commit with the record |
//! | `redis` | `redis` | Redis and Valkey: alone, Sentinel, Cluster |
//! | `postgres` | `postgres` | PostgreSQL, and transactions that commit your rows with the record |
//! | `mysql` | `mysql` | MySQL and MariaDB, and transactions that commit your rows with the record |
//! | `tower`, `axum` | `tower` | a tower `Layer` for axum, hyper and anything tower |
//! | `actix` | `actix` | a middleware for actix-web |
//! | `reqwest` | `http::client` | the client's half, as a middleware of reqwest |
//! | `http` | `http` | the semantics of the `Idempotency-Key` header |
//! | `http-driver` | `http::driver` | the server's half, for an integration with another framework |

//!
//! # The first call
//! ```
//! use idem::{Failure, Fingerprint, Idempotency, RecordKey, memory::MemoryStore};
//!
//! async fn charge(cents: u64) -> Result<u64, Failure<String>> {
//!     Ok(cents + 17) // charge the card, and return the charge's id
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idem = Idempotency::new(MemoryStore::new());
//! let key = RecordKey::new("merchant-7", "order-4711")?;
//! let request = Fingerprint::of("payments/v1", b"500 usd");
//!
//! for replayed in [false, true] {
//!     let paid = idem.execute(&key, &request, async |_| charge(500).await).await?;
//!     assert_eq!((paid.value, paid.replayed), (517, replayed));
//! }
//! # Ok(()) }
//! ```
//!
//! From here: [`Policy`] has the knobs, [`Idempotency::claim`] hands out the right to run without
//! running, and [`Store`](store::Store) is what a store of your own implements.

#[doc(inline)]
pub use idem_core::*;

/// Records in this process.
#[cfg(feature = "memory")]
pub mod memory {
    pub use idem_memory::*;
}

/// SQLite: one file, no server.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    pub use idem_sqlite::*;
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

/// MySQL and MariaDB.
#[cfg(feature = "mysql")]
pub mod mysql {
    pub use idem_mysql::*;
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

/// The middleware for actix-web.
#[cfg(feature = "actix")]
pub mod actix {
    pub use idem_actix::*;
}

/// The README's examples run as doctests.
#[cfg(all(
    doctest,
    feature = "actix",
    feature = "axum",
    feature = "postgres",
    feature = "sqlite"
))]
#[doc = include_str!("../../../README.md")]
struct Readme;
