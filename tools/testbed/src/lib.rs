//! Starts real servers for the tests of idem, and breaks them on purpose.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use idem_testbed::{Fault, FaultyProxy, Postgres, postgres::SqlClient, skip_or_fail};
//!
//! let Some(postgres) = skip_or_fail(Postgres::start().await) else {
//!     return Ok(()); // not installed here, which was said aloud; in CI it is a failure
//! };
//! postgres.sql("CREATE TABLE payments (amount int)")?;
//!
//! // A commit whose reply never comes.
//! let proxy = FaultyProxy::start(postgres.address())?;
//! proxy.arm(Fault::LoseReply.once().command("COMMIT"));
//! let mut client = SqlClient::connect(proxy.address(), "postgres")?;
//! client.query("BEGIN")?;
//! client.query("INSERT INTO payments VALUES (100)")?;
//! assert!(client.query("COMMIT").is_err());
//!
//! // Nor does the server live on. Yet the payment was made.
//! postgres.kill();
//! postgres.restart().await?;
//! assert_eq!(postgres.sql("SELECT amount FROM payments")?, [[Some("100".to_owned())]]);
//! # Ok(())
//! # }
//! ```
//!
//! # What is started
//!
//! | | what | found by | else |
//! |---|---|---|---|
//! | [`Redis`] | one Redis or Valkey, with or without an append-only file, a bound on its memory, restricted users, any directive | `IDEM_REDIS_SERVER`, the path of a `redis-server` or `valkey-server` | either in `PATH` |
//! | [`Sentinel`] | a primary, two replicas, three Sentinels: failover by killing, pausing, cutting off, or on demand | same | same |
//! | [`Cluster`] | three primaries with a replica each: the same, and moving slots step by step | same | same |
//! | [`Postgres`] | one server, flushing or not, with any setting; [standbys](Postgres::add_standby), synchronous or not, and their promotion | `IDEM_PG_BINDIR`, the folder with `initdb` and `postgres` | `pg_config --bindir`, the newest below `/usr/lib/postgresql` |
//! | [`MariaDb`] | one server, flushing or not, with any setting | `IDEM_MARIADB_SERVER`, the path of `mariadbd` | `PATH`, `/usr/sbin` |
//! | [`Nats`] | one server with JetStream | `IDEM_NATS_SERVER`, the path of `nats-server` | `PATH`, what `cargo xtask test` unpacked |
//! | [`Moto`] | an *emulator* of SQS and other services of Amazon | `IDEM_MOTO_SERVER`, the path of `moto_server` | what `cargo xtask test` installed, with the `python3` in `PATH` |
//! | [`RabbitMq`] | one node with a port mapper of its own | `IDEM_RABBITMQ_SERVER`, the path of the script `sbin/rabbitmq-server` | below `/usr/lib/rabbitmq/lib` |
//! | [`PgBouncer`] | in transaction mode, with any setting, before any of these or a proxy | `IDEM_PGBOUNCER`, the path of the program | `/usr/sbin/pgbouncer`, the one in `PATH` |
//! | `Browser` (feature `browser`) | Chromium without a window, under its driver | | `chromium` and `chromedriver` in `PATH` |
//! | [`Program`] | anything else | the path or name it is given | |
//!
//! Each type has an example of its own. Postgres, MariaDB and PgBouncer refuse to run as root: to a test that
//! is root they run as `postgres`, or `nobody`, who must be able to read the programs.
//!
//! By hand: `cargo run -p idem-testbed -- redis cluster standby pgbouncer` starts servers, says
//! where they are, and holds them until it is interrupted.
//!
//! # How it is broken
//!
//! A [`Server`] is killed (SIGKILL), paused (SIGSTOP), resumed, and started again over its data, on
//! the same port. A [`FaultyProxy`] before any of them cuts a connection before a request goes on,
//! loses a reply once the server has given it, delays, hangs, refuses. It follows the protocols of
//! Redis, Postgres and MariaDB, so that a fault befalls the very [request](Rule) it is meant for. Sentinel
//! and Cluster deployments can be started [behind](ClusterBuilder::behind_proxies) proxies, which
//! they then name to their clients.
//!
//! # What holds for all
//!
//! - **Nothing is left behind.** What was started is gone when its last handle is dropped, and so
//!   after a panic. Where no destructor runs, because the test process was killed, a watcher that
//!   blocks on a pipe to it does the same.
//! - **Nothing waits a guessed time.** A server is asked, in its own protocol, until it answers, and
//!   a deployment until all its parts agree; after a minute that is a [`TestbedError::Timeout`] with
//!   what was seen last and the end of the log.
//! - **Nothing collides.** Ports are reserved across parallel tests and test processes, and stay so
//!   while a server is down. They lie outside the range from which outgoing connections take theirs.
//!   Every server has a folder of its own.
//! - **Nothing is skipped in silence**: see [`skip_or_fail`].
//! - Starting works on a runtime (`start`) and off it (`start_blocking`). Killing, pausing, and all
//!   that a proxy is told are plain calls, which return when it is done.

mod account;
#[cfg(feature = "browser")]
mod browser;
mod error;
mod folder;
mod launch;
mod lifeline;
mod log_tail;
mod mariadb;
mod moto;
mod nats;
mod ports;
pub mod postgres;
mod process;
mod program;
pub mod proxy;
mod rabbitmq;
mod random;
pub mod redis;
mod residents;
mod server;
mod skip;
mod tool;
mod unblock;
mod wait;

#[cfg(feature = "browser")]
pub use browser::Browser;
pub use error::TestbedError;
pub use mariadb::{MariaDb, MariaDbBuilder};
pub use moto::Moto;
pub use nats::Nats;
pub use postgres::{
    Durability, PgBouncer, PgBouncerBuilder, Postgres, PostgresBuilder, Replication,
};
pub use program::Program;
pub use proxy::{Armed, Fault, FaultCounts, FaultyProxy, Rule};
pub use rabbitmq::RabbitMq;
pub use redis::{
    AppendFsync, Cluster, ClusterBuilder, Redis, RedisBinary, RedisBuilder, RedisFlavor, Sentinel,
    SentinelBuilder, SlotMigration,
};
pub use server::Server;
pub use skip::skip_or_fail;
