#![doc = include_str!("../README.md")]
//!
//! One string key per record, one round trip per claim and one per ending:
//!
//! | call | command |
//! |---|---|
//! | `create` | `SET … NX GET PX`; if it finds a record in flight, `GETEX`, `PTTL` and `GETRANGE` follow for its age |
//! | `create` of a key that this process saw ended | `GETEX`, or one `MGET` for many; the above if the record is gone |
//! | `update` | `SET … IFEQ … PX` where the server has it, else a script that compares the version |
//! | `delete` | a script that compares the version |
//! | `get` | `GETEX` and `PTTL`, and `GETRANGE` for the version that the ttl belongs to |
//!
//! `IFEQ` was seen at work on Valkey 8.1 and 9.1. Redis has it since 8.4: what is sent there follows its
//! documentation, and **has not been run against such a server** yet. A server that does not know it is
//! not asked again, and gets the script.
//!
//! # Batches
//! Calls that are made at the same time share a pipeline, one command for all records that it reads, and
//! one run of a script for all records that it replaces. Each call has its own answer. A call that finds
//! nothing under way goes out at once. In a Cluster the calls to one node share a pipeline, and each
//! record has its own command. One task for each runtime does this; it ends with the store's last clone.
//!
//! Requests of 64 KiB and more have a second connection, which the first of them opens: one that is long
//! under way holds up no renewal. Over a connection that you gave to the store, all share that one.
//!
//! If the server refuses commands with several keys, as a Cluster's node and some proxies do, each record
//! has its own command there, too.
//!
//! # Whose keys
//! All applications that use one Redis database with the same prefix share their records. Give each its
//! own: [`RedisConfig::prefix`], or `?prefix=` in the URL.
//!
//! # The server
//! - Redis 7.0 or newer, or any Valkey. `maxmemory-policy` has to be `noeviction`. Where the user may
//!   ask, this is checked at every new connection that the store opens, so also after a failover; for a
//!   connection that was given to it once, when the store is made.
//! - A record that is longer than `proto-max-bulk-len` or `client-query-buffer-limit` is refused as
//!   [`TooLarge`](idem_core::store::StoreErrorKind::TooLarge). A user who may not ask for these is taken to
//!   have the defaults, 512 MB.
//! - The user needs no dangerous command, and no key but its own:
//!   `ACL SETUSER app on >… ~idem:* +@all -@dangerous`; less also does:
//!   `+@read +@write +@scripting +@connection`, with `+wait +waitaof` for a [`Durability`] and
//!   `+cluster|slots` in a Cluster.
//! - What a write survives is a matter of the server's persistence and of [`Durability`]; its page
//!   spells the window of a failover out.
//! - A record's age is its ttl as written less the ttl that is left, both by the server's clock
//!   (rule S4). The ttl is kept as a point in time, so keep the clocks of primary and replicas in
//!   step: a failover shifts leases by the difference. Where the server's clock is set forward,
//!   leases and retention end early; where it is set back, a crashed holder keeps its key for so much
//!   longer. Have NTP slew it.
//!
//! # Under Sentinel and in a Cluster
//! Commands go to primaries alone. Redirections, refusals while a slot moves or a failover is under
//! way, and broken connections are either followed by the driver or come back as
//! [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable) or
//! [`Unknown`](idem_core::store::StoreErrorKind::Unknown), which the engine asks again about.
//!
//! A key whose slot moves takes the ttl that is left along (`MIGRATE` sends it so), and not the point in
//! time: its lease and retention last longer by as long as the key was on its way.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod browse;
mod check;
mod config;
mod connection;
mod durability;
mod error;
mod facts;
mod inspect;
mod keys;
mod link;
mod native;
mod read;
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
pub use inspect::{RedisFacts, ServerFacts};
pub use store::RedisStore;
