//! Starts real servers for the tests of idem, and breaks them on purpose.
//!
//! # One rule for all
//!
//! Everything that was started is gone when its last handle is dropped, and so also after a panic.
//! Where no destructor runs, because the test process was killed, a watcher that blocks on a pipe
//! to it does the same. Nothing waits a guessed time: a server is asked until it answers.
//!
//! Servers listen on 127.0.0.1 alone, on ports that parallel tests and test processes do not take
//! from each other, and have folders of their own below the temporary folder.
//!
//! A test whose server is not installed goes through [`skip_or_fail`].
//!
//! # What is started
//!
//! | | found by | else |
//! |---|---|---|
//! | [`Redis`] | `IDEM_REDIS_SERVER`, the path of a `redis-server` or `valkey-server` | the one in `PATH` |
//! | [`Postgres`] | `IDEM_PG_BINDIR`, the folder with `initdb` and `postgres` | `pg_config --bindir`, the newest below `/usr/lib/postgresql` |
//! | [`Program`] | the path or name it is given | |
//!
//! Postgres refuses to run as root. To a test that is root it runs as `postgres`, or `nobody`, who
//! must be able to read its programs.
//!
//! # How it is broken
//!
//! Servers are killed (SIGKILL), paused (SIGSTOP), resumed, and started again over their data. A
//! [`FaultyProxy`] in front of any of them cuts connections, loses replies, delays, hangs, refuses.

mod account;
mod error;
mod folder;
mod lifeline;
mod log_tail;
mod ports;
pub mod postgres;
mod process;
mod program;
pub mod proxy;
pub mod redis;
mod residents;
mod skip;
mod unblock;
mod wait;

pub use error::TestbedError;
pub use postgres::{
    Durability, PgBouncer, PgBouncerBuilder, Postgres, PostgresBuilder, Replication,
};
pub use program::Program;
pub use proxy::{Armed, Fault, FaultCounts, FaultyProxy, Rule};
pub use redis::{
    AppendFsync, Cluster, ClusterBuilder, Redis, RedisBinary, RedisBuilder, RedisFlavor, Sentinel,
    SentinelBuilder, SlotMigration,
};
pub use skip::skip_or_fail;
