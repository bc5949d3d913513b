//! Redis and Valkey store for `idem`: alone, under Sentinel, in a Cluster.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use idem_core::Idempotency;
//! use idem_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis+cluster://10.0.0.1,10.0.0.2,10.0.0.3").await?;
//! let idem = Idempotency::builder(store.clone()).watch(store).build()?;
//! # Ok(()) }
//! ```
//!
//! One string key per record, one round trip per claim and one per ending:
//!
//! | call | command |
//! |---|---|
//! | `create` | `SET … NX GET PX`; the record's age is asked for only if what is found is in flight |
//! | `create` of a key that this process saw ended | `GETEX`, or `MGET` with one of them for many; the above if it has not ended any more |
//! | `update` | `SET … IFEQ … PX` where the server has it, else a script that compares the version |
//! | `delete` | `DELIFEQ` or `DELEX` where the server has it, else such a script |
//! | `get` | a script: the value and its ttl at one moment |
//!
//! `IFEQ` and `DELIFEQ` were seen at work on Valkey 8.1 and 9.1. Redis has `IFEQ` and `DELEX` since
//! 8.4: what is sent there follows its documentation, and **has not been run against such a server**
//! yet. A server that does not take one of them is not asked again, and gets the script.
//!
//! Calls made at the same time travel together: one pipeline, one command for all records that it reads,
//! and one run of a script for all records that it replaces, each with an answer of its own. A call that
//! finds no others goes at once. In a Cluster each call travels by itself. What carries them are tasks on
//! the callers' runtimes; up to eight that are idle wait for more, and end with the store's last clone.
//!
//! Which keys ended is remembered for up to 131,072 of them, in 128 KiB, and decides about the command
//! alone: what the server has is what counts. A key that ended here and is gone, because it expired, costs
//! its next claim a second command.
//!
//! # The server
//! - Redis 7.0 or newer, or any Valkey. `maxmemory-policy` has to be `noeviction`, which is checked
//!   where the user may ask.
//! - The user needs no dangerous command, and no key but its own:
//!   `ACL SETUSER app on >… ~idem:* +@all -@dangerous`; less also does:
//!   `+@read +@write +@scripting +@connection`, with `+wait +waitaof` for a [`Durability`] and
//!   `+cluster|slots` in a Cluster.
//! - What a write survives is a matter of the server's persistence and of [`Durability`]; its page
//!   spells the window of a failover out.
//! - A record's age is its ttl as written less the ttl that is left, both by the server's clock
//!   (rule S4). The ttl is kept as a point in time, so keep the clocks of primary and replicas in
//!   step: a failover shifts leases by the difference.
//!
//! # Under Sentinel and in a Cluster
//! Commands go to primaries alone. Redirections, refusals while a slot moves or a failover is under
//! way, and broken connections are either followed by the driver or come back as
//! [`Unavailable`](idem_core::StoreErrorKind::Unavailable) or
//! [`Unknown`](idem_core::StoreErrorKind::Unknown), which the engine asks again about.

mod browse;
mod check;
mod config;
mod connection;
mod durability;
mod ended;
mod error;
mod keys;
mod lane;
mod link;
mod native;
mod reply;
mod scripts;
mod store;
mod sweep;
mod watch;
mod write;

pub use redis;

pub use config::RedisConfig;
pub use connection::Connection;
pub use durability::Durability;
pub use store::RedisStore;
