//! Redis and Valkey: one server, a Sentinel deployment, a Cluster.

mod binary;
mod builder;
mod client;
mod cluster;
mod member;
mod reply;
mod sentinel;
mod server;

use std::net::SocketAddr;

pub use binary::{RedisBinary, RedisFlavor};
pub use builder::{AppendFsync, RedisBuilder};
pub use client::RespClient;
pub use cluster::{Cluster, ClusterBuilder, SlotMigration};
pub use reply::Reply;
pub use sentinel::{Sentinel, SentinelBuilder};
pub use server::Redis;

pub(crate) use reply::{Malformed, frame_length};

/// `HOST:PORT,HOST:PORT`, as a URL of several servers names them.
fn host_list(addresses: &[SocketAddr]) -> String {
    let hosts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    hosts.join(",")
}
