#![doc = include_str!("../README.md")]
//!
//! From here: [`Policy`] has the knobs, [`Idempotency::claim`] hands out the right to run without
//! running, and [`Store`](store::Store) is what a store of your own implements.
#![cfg_attr(docsrs, feature(doc_cfg))]

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

/// A webhook inbox: verified, deduplicated, worked off once.
#[cfg(feature = "webhook")]
pub mod webhook {
    pub use idem_webhook::*;
}

/// Messages that a broker delivers at least once, worked off once.
#[cfg(feature = "consumer")]
pub mod consumer {
    pub use idem_consumer::*;
}

/// A page, mounted in an axum app, that shows what is stuck and settles it.
#[cfg(feature = "console")]
pub mod console {
    pub use idem_console::*;
}

/// The examples of the README and of the book run as doctests.
#[cfg(all(
    doctest,
    feature = "actix",
    feature = "axum",
    feature = "console",
    feature = "kafka",
    feature = "mysql",
    feature = "nats",
    feature = "postgres",
    feature = "rabbitmq",
    feature = "redis",
    feature = "replay-cache",
    feature = "reqwest",
    feature = "sqlite",
    feature = "sqs",
    feature = "webhook"
))]
mod book;
