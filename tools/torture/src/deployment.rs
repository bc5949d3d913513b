//! The servers of a run, and how they are broken.

mod cluster;
mod memory;
mod network;
mod postgres;
mod redis_alone;
mod sentinel;
mod server;
mod standby;

use std::collections::BTreeMap;

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{FaultyProxy, TestbedError};

use crate::{
    check::Promise,
    disk::SmallDisk,
    fault::{Kind, Strike},
    worker::Target,
};

/// How many workers there are at a time.
pub(crate) const WORKERS: usize = 3;

/// Servers that run.
#[async_trait]
pub(crate) trait Deployment: Send {
    /// What it promises.
    fn promise(&self) -> Promise;

    /// The kinds of fault that can strike its servers and the way to them.
    fn kinds(&self) -> Vec<Kind>;

    /// What the worker in this place is to use, through all faults.
    fn target(&self, place: usize) -> Target;

    /// What to use when the faults are over.
    fn healed_target(&self) -> Target;

    /// Strikes, and heals what was struck.
    async fn strike(&mut self, strike: &Strike) -> Result<()>;

    /// Whether such a fault may be a failover here.
    fn is_failover(&self, kind: Kind) -> bool;

    /// All proxies there ever were, to be asked how often they struck.
    fn proxies(&self) -> Vec<FaultyProxy>;
}

/// A deployment to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Memory,
    Redis,
    /// With how many replicas a write waits for.
    Sentinel(u32),
    Cluster(u32),
    Postgres,
    Standby,
}

impl Plan {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::Redis => "redis".to_owned(),
            Self::Sentinel(replicas) => format!("sentinel{}", durability(replicas)),
            Self::Cluster(replicas) => format!("cluster{}", durability(replicas)),
            Self::Postgres => "postgres".to_owned(),
            Self::Standby => "standby".to_owned(),
        }
    }

    /// Starts it. `disk` is to be filled, where there is one.
    pub(crate) async fn start(
        self,
        disk: Option<&SmallDisk>,
    ) -> Result<Box<dyn Deployment>, TestbedError> {
        Ok(match self {
            Self::Memory => Box::new(memory::Memory),
            Self::Redis => Box::new(redis_alone::RedisAlone::start(disk).await?),
            Self::Sentinel(replicas) => Box::new(sentinel::SentinelSet::start(replicas).await?),
            Self::Cluster(replicas) => Box::new(cluster::ClusterSet::start(replicas).await?),
            Self::Postgres => Box::new(postgres::PostgresAlone::start(disk).await?),
            Self::Standby => Box::new(standby::WithStandby::start().await?),
        })
    }

    /// Whether its disk is filled, where that is possible.
    pub(crate) fn fills_disk(self) -> bool {
        matches!(self, Self::Redis | Self::Postgres)
    }
}

fn durability(replicas: u32) -> &'static str {
    match replicas {
        0 => "",
        _ => " replicated",
    }
}

/// How often requests were hit on their way, by kind.
pub(crate) fn hits(proxies: &[FaultyProxy]) -> BTreeMap<String, u64> {
    let mut hits = BTreeMap::new();
    for counts in proxies.iter().map(FaultyProxy::counts) {
        for (kind, count) in [
            (Kind::RequestsCut, counts.cut_before_request),
            (Kind::RepliesLost, counts.lost_replies),
            (Kind::RequestsDelayed, counts.delayed_requests),
            (Kind::RepliesDelayed, counts.delayed_replies),
            (Kind::RequestsHung, counts.hung_requests),
            (Kind::RepliesHung, counts.hung_replies),
            (Kind::ConnectionsCut, counts.cut_connections),
            (Kind::ConnectionsRefused, counts.refusals),
        ] {
            *hits.entry(kind.name().to_owned()).or_default() += count;
        }
    }
    hits
}
