//! Redis and Valkey: one server, a Sentinel deployment, a Cluster.

mod binary;
mod builder;
mod client;
mod cluster;
mod member;
mod reply;
mod sentinel;
mod server;

pub use binary::{RedisBinary, RedisFlavor};
pub use builder::{AppendFsync, RedisBuilder};
pub use client::RespClient;
pub use cluster::{Cluster, ClusterBuilder, SlotMigration};
pub use reply::Reply;
pub use sentinel::{Sentinel, SentinelBuilder};
pub use server::Redis;

pub(crate) use reply::{Malformed, frame_length};
