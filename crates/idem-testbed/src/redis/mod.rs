//! Redis and Valkey: one server, a Sentinel deployment, a Cluster.

mod alone;
mod binary;
mod client;
mod cluster;
mod cluster_setup;
mod cluster_view;
mod member;
mod migration;
mod reply;
mod sentinel;

pub use alone::{AppendFsync, Redis, RedisBuilder};
pub use binary::{RedisBinary, RedisFlavor};
pub use client::RespClient;
pub use cluster::{Cluster, ClusterBuilder};
pub use migration::SlotMigration;
pub use reply::Reply;
pub use sentinel::{Sentinel, SentinelBuilder};

pub(crate) use reply::{Malformed, frame_length};
