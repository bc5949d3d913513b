//! Redis nodes of which a replica may take the primary's place, once with acknowledged and once
//! with replicated writes.

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{AppendFsync, FaultyProxy, Redis, RedisBuilder};
use tokio::time::sleep;

use super::{Deployment, network, redis::fill_memory, server};
use crate::{
    check::Promise,
    fault::{Kind, Strike},
};

/// What clients write with. Replicas and Sentinels go through the proxies as well, with others.
const WRITES: [&str; 2] = ["SET", "EVALSHA"];

/// What differs between such deployments.
#[async_trait]
pub(super) trait Nodes: Send + Sync {
    /// The faults that only this deployment has.
    const KINDS: &'static [Kind];

    fn url(&self) -> String;
    fn nodes(&self) -> Vec<Redis>;
    fn proxy_of(&self, node: &Redis) -> Option<FaultyProxy>;

    /// A primary.
    async fn primary(&self, which: usize) -> Result<Redis>;

    /// Strikes at this primary with a failover, a switchover, or one of its own kinds.
    async fn strike(&self, primary: &Redis, strike: &Strike) -> Result<()>;

    /// Returns when all nodes agree again.
    async fn settled(&self) -> Result<()>;
}

pub(super) struct Redundant<N> {
    pub(super) nodes: N,
    /// How many of them a write waits for.
    pub(super) replicas: u32,
}

/// What a node is started with. A write that has to stay must be on the disk before it is
/// confirmed, because a primary that is killed and back at once stays the primary, and its replicas
/// follow it, whatever they had confirmed.
pub(super) fn node(replicas: u32) -> RedisBuilder {
    Redis::builder().append_only(match replicas {
        0 => AppendFsync::EverySecond,
        _ => AppendFsync::Always,
    })
}

/// Kills the primary, and starts it again once `replaced` says that another took its place.
pub(super) async fn fail_over<E: Into<anyhow::Error>>(
    primary: &Redis,
    strike: &Strike,
    replaced: impl Future<Output = Result<Redis, E>>,
) -> Result<()> {
    primary.kill();
    replaced.await.map_err(Into::into)?;
    sleep(strike.lasts).await;
    primary.restart().await?;
    Ok(())
}

#[async_trait]
impl<N: Nodes> Deployment for Redundant<N> {
    fn promise(&self) -> Promise {
        match self.replicas {
            0 => Promise::MayLose,
            _ => Promise::Replicated,
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        const COMMON: [Kind; 5] = [
            Kind::ServerKilled,
            Kind::ServerPaused,
            Kind::Failover,
            Kind::Switchover,
            Kind::MemoryFull,
        ];
        [&Kind::NETWORK[..], &COMMON, N::KINDS].concat()
    }

    fn url(&self, _place: usize) -> String {
        self.nodes.url()
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        let primary = self.nodes.primary(strike.which).await?;
        let proxies: Vec<_> = self.nodes.proxy_of(&primary).into_iter().collect();
        if !network::strike(strike, &proxies, &WRITES).await
            && !server::strike(strike, &primary).await?
        {
            match strike.kind {
                Kind::MemoryFull => fill_memory(&primary, strike).await?,
                _ => self.nodes.strike(&primary, strike).await?,
            }
        }
        if self.is_failover(strike.kind) {
            self.nodes.settled().await?;
        }
        Ok(())
    }

    /// Whether the others may take such a fault for the end of their primary.
    fn is_failover(&self, kind: Kind) -> bool {
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

    fn proxies(&self) -> Vec<FaultyProxy> {
        let nodes = self.nodes.nodes();
        nodes
            .iter()
            .filter_map(|node| self.nodes.proxy_of(node))
            .collect()
    }
}
