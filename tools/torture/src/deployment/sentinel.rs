//! A primary with two replicas, watched by three Sentinels.

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{AppendFsync, FaultyProxy, Redis, Sentinel, TestbedError};
use tokio::time::sleep;

use super::{Deployment, network, redis_alone::fill_memory, server};
use crate::{
    check::Promise,
    fault::{Kind, Strike},
    worker::Target,
};

/// What clients write with. Replicas and Sentinels go through the proxies as well, with others.
pub(super) const WRITES: [&str; 2] = ["SET", "EVALSHA"];

/// How writes of a deployment with `replicas` to wait for are promised to stay.
pub(super) fn promise(replicas: u32) -> Promise {
    match replicas {
        0 => Promise::MayLose,
        _ => Promise::Replicated,
    }
}

/// When a write is on the disk. One that has to stay must be there before it is confirmed, because
/// a primary that is killed and back at once stays the primary, and its replicas follow it, whatever
/// they had confirmed.
pub(super) fn fsync(replicas: u32) -> AppendFsync {
    match replicas {
        0 => AppendFsync::EverySecond,
        _ => AppendFsync::Always,
    }
}

/// Whether the others may take a fault of this kind for the end of their primary.
pub(super) fn may_move_the_primary(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ServerKilled
            | Kind::ServerPaused
            | Kind::Failover
            | Kind::Switchover
            | Kind::ConnectionsCut
            | Kind::ConnectionsRefused
    )
}

pub(super) struct SentinelSet {
    sentinel: Sentinel,
    replicas: u32,
}

impl SentinelSet {
    pub(super) async fn start(replicas: u32) -> Result<Self, TestbedError> {
        let node = Redis::builder().append_only(fsync(replicas));
        let sentinel = Sentinel::builder()
            .node(node)
            .behind_proxies()
            .start()
            .await?;
        Ok(Self { sentinel, replicas })
    }

    async fn strike_primary(&self, primary: &Redis, strike: &Strike) -> Result<()> {
        if server::strike(strike, primary).await? {
            return Ok(());
        }
        match strike.kind {
            Kind::Failover => {
                primary.kill();
                self.sentinel.primary_after(primary).await?;
                sleep(strike.lasts).await;
                primary.restart().await?;
            }
            Kind::Switchover => drop(self.sentinel.failover().await?),
            Kind::MemoryFull => fill_memory(primary, strike).await?,
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Deployment for SentinelSet {
    fn promise(&self) -> Promise {
        promise(self.replicas)
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Kind::NETWORK.to_vec();
        kinds.extend([
            Kind::ServerKilled,
            Kind::ServerPaused,
            Kind::Failover,
            Kind::Switchover,
            Kind::MemoryFull,
        ]);
        kinds
    }

    fn target(&self, _place: usize) -> Target {
        Target::Redis {
            url: self.sentinel.url(),
            replicas: self.replicas,
        }
    }

    fn healed_target(&self) -> Target {
        self.target(0)
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        let primary = self.sentinel.primary().await?;
        let proxies: Vec<_> = self.sentinel.proxy_of(&primary).into_iter().collect();
        if !network::strike(strike, &proxies, &WRITES).await {
            self.strike_primary(&primary, strike).await?;
        }
        if self.is_failover(strike.kind) {
            self.sentinel.settled().await?;
        }
        Ok(())
    }

    fn is_failover(&self, kind: Kind) -> bool {
        may_move_the_primary(kind)
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        let nodes = self.sentinel.nodes();
        nodes
            .iter()
            .filter_map(|node| self.sentinel.proxy_of(node))
            .collect()
    }
}
