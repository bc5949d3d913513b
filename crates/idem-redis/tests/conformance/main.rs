//! The conformance suite against every deployment: one server behind a proxy, one whose user may do
//! little, Sentinel, and a Cluster.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deployment;
mod faults;
mod harness;
mod own_server;

use deployment::Deployment;
use harness::RedisHarness;

async fn proxied() -> Option<RedisHarness> {
    RedisHarness::of("one server behind a proxy", Deployment::behind_proxy).await
}

async fn restricted() -> Option<RedisHarness> {
    RedisHarness::of("a user without dangerous commands", Deployment::restricted).await
}

async fn sentinel() -> Option<RedisHarness> {
    RedisHarness::of("Sentinel", Deployment::sentinel).await
}

async fn cluster() -> Option<RedisHarness> {
    RedisHarness::of("Cluster", Deployment::cluster).await
}

idem_conformance::suite!(behind_proxy, proxied);
idem_conformance::suite!(without_dangerous_commands, restricted);
idem_conformance::suite!(under_sentinel, sentinel);
idem_conformance::suite!(in_a_cluster, cluster);
