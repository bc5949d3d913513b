//! Starts real servers for tests, and breaks them on purpose.

mod account;
mod error;
mod folder;
mod lifeline;
mod log_tail;
mod ports;
pub mod postgres;
mod process;
pub mod redis;
mod residents;
mod skip;
mod unblock;
mod wait;

pub use error::TestbedError;
pub use postgres::{Durability, Postgres, PostgresBuilder};
pub use redis::{AppendFsync, Redis, RedisBinary, RedisBuilder, RedisFlavor};
pub use skip::skip_or_fail;
