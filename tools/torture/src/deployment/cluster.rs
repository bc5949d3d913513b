//! Three primaries with a replica each, who share the slots.

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{Cluster, FaultyProxy, Redis, TestbedError};
use tokio::time::sleep;

use super::{
    Deployment, network,
    redis_alone::fill_memory,
    sentinel::{WRITES, fsync, may_move_the_primary, promise},
    server,
};
use crate::{
    check::Promise,
    fault::{Kind, Strike},
    worker::Target,
};

pub(super) struct ClusterSet {
    cluster: Cluster,
    replicas: u32,
}

impl ClusterSet {
    pub(super) async fn start(replicas: u32) -> Result<Self, TestbedError> {
        let node = Redis::builder().append_only(fsync(replicas));
        let cluster = Cluster::builder()
            .node(node)
            .behind_proxies()
            .start()
            .await?;
        Ok(Self { cluster, replicas })
    }

    async fn strike_primary(&self, primary: &Redis, strike: &Strike) -> Result<()> {
        if server::strike(strike, primary).await? {
            return Ok(());
        }
        match strike.kind {
            Kind::MemoryFull => fill_memory(primary, strike).await?,
            Kind::Failover => {
                let Some(slot) = self.a_slot_of(primary)? else {
                    return Ok(());
                };
                primary.kill();
                self.cluster.owner_after(slot, primary).await?;
                sleep(strike.lasts).await;
                primary.restart().await?;
            }
            Kind::Switchover => {
                if let Some(slot) = self.a_slot_of(primary)? {
                    self.cluster.failover(slot).await?;
                }
            }
            Kind::SlotMoved => self.move_slot(primary, strike).await?,
            _ => {}
        }
        Ok(())
    }

    async fn move_slot(&self, from: &Redis, strike: &Strike) -> Result<()> {
        let primaries = self.cluster.primaries().await?;
        let others: Vec<_> = primaries
            .iter()
            .filter(|node| node.port() != from.port())
            .collect();
        if let (Some(slot), false) = (self.a_slot_of(from)?, others.is_empty()) {
            let to = others[strike.which % others.len()];
            self.cluster.migrate_slot(slot, to).await?;
        }
        Ok(())
    }

    /// A slot of this node with a key in it.
    fn a_slot_of(&self, node: &Redis) -> Result<Option<u16>> {
        let key = node.command(&["RANDOMKEY"])?.text();
        Ok(key.map(|key| self.cluster.slot_of(&key)).transpose()?)
    }
}

#[async_trait]
impl Deployment for ClusterSet {
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
            Kind::SlotMoved,
            Kind::MemoryFull,
        ]);
        kinds
    }

    fn target(&self, _place: usize) -> Target {
        Target::Redis {
            url: self.cluster.url(),
            replicas: self.replicas,
        }
    }

    fn healed_target(&self) -> Target {
        self.target(0)
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        let primaries = self.cluster.primaries().await?;
        let primary = &primaries[strike.which % primaries.len()];
        let proxies: Vec<_> = self.cluster.proxy_of(primary).into_iter().collect();
        if !network::strike(strike, &proxies, &WRITES).await {
            self.strike_primary(primary, strike).await?;
        }
        if self.is_failover(strike.kind) {
            self.cluster.settled().await?;
        }
        Ok(())
    }

    fn is_failover(&self, kind: Kind) -> bool {
        may_move_the_primary(kind)
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        let nodes = self.cluster.nodes();
        nodes
            .iter()
            .filter_map(|node| self.cluster.proxy_of(node))
            .collect()
    }
}
