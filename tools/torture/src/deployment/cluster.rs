//! Three primaries with a replica each, who share the slots.

use anyhow::Result;
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_testbed::{Cluster, FaultyProxy, Redis, TestbedError};

use super::{
    Deployment, Opened, Plan, redis,
    redundant::{Nodes, Redundant, fail_over, node},
};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

pub(super) struct OfCluster {
    pub(super) replicas: u32,
}

#[async_trait]
impl Plan for OfCluster {
    fn name(&self) -> &'static str {
        match self.replicas {
            0 => "cluster",
            _ => "cluster replicated",
        }
    }

    async fn start(&self, _: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let replicas = self.replicas;
        let cluster = Cluster::builder().node(node(replicas)).behind_proxies();
        let nodes = cluster.start().await?;
        Ok(Box::new(Redundant { nodes, replicas }))
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        redis::open(url, self.replicas).await
    }
}

#[async_trait]
impl Nodes for Cluster {
    const KINDS: &'static [Kind] = &[Kind::SlotMoved];

    fn url(&self) -> String {
        Cluster::url(self)
    }

    fn nodes(&self) -> Vec<Redis> {
        Cluster::nodes(self)
    }

    fn proxy_of(&self, node: &Redis) -> Option<FaultyProxy> {
        Cluster::proxy_of(self, node)
    }

    async fn primary(&self, which: usize) -> Result<Redis> {
        let mut primaries = self.primaries().await?;
        let which = which % primaries.len();
        Ok(primaries.swap_remove(which))
    }

    async fn strike(&self, primary: &Redis, strike: &Strike) -> Result<()> {
        let Some(slot) = a_slot_of(self, primary)? else {
            return Ok(());
        };
        match strike.kind {
            Kind::Failover => fail_over(primary, strike, self.owner_after(slot, primary)).await?,
            Kind::Switchover => drop(self.failover(slot).await?),
            _ => move_slot(self, primary, slot, strike).await?,
        }
        Ok(())
    }

    async fn settled(&self) -> Result<()> {
        Ok(Cluster::settled(self).await?)
    }
}

async fn move_slot(cluster: &Cluster, from: &Redis, slot: u16, strike: &Strike) -> Result<()> {
    let mut others = cluster.primaries().await?;
    others.retain(|node| node.port() != from.port());
    if !others.is_empty() {
        let to = &others[strike.which % others.len()];
        cluster.migrate_slot(slot, to).await?;
    }
    Ok(())
}

/// A slot of this node with a key in it.
fn a_slot_of(cluster: &Cluster, node: &Redis) -> Result<Option<u16>> {
    let key = node.command(&["RANDOMKEY"])?.text();
    Ok(key.map(|key| cluster.slot_of(&key)).transpose()?)
}
