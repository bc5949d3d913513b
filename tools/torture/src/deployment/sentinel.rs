//! A primary with two replicas, watched by three Sentinels.

use anyhow::Result;
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_testbed::{FaultyProxy, Redis, Sentinel, TestbedError};

use super::{
    Deployment, Opened, Plan, redis,
    redundant::{Nodes, Redundant, fail_over, node},
};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

pub(super) struct OfSentinel {
    pub(super) replicas: u32,
}

#[async_trait]
impl Plan for OfSentinel {
    fn name(&self) -> &'static str {
        match self.replicas {
            0 => "sentinel",
            _ => "sentinel replicated",
        }
    }

    async fn start(&self, _: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let replicas = self.replicas;
        let sentinel = Sentinel::builder().node(node(replicas)).behind_proxies();
        let nodes = sentinel.start().await?;
        Ok(Box::new(Redundant { nodes, replicas }))
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        redis::open(url, self.replicas).await
    }
}

#[async_trait]
impl Nodes for Sentinel {
    const KINDS: &'static [Kind] = &[];

    fn url(&self) -> String {
        Sentinel::url(self)
    }

    fn nodes(&self) -> Vec<Redis> {
        Sentinel::nodes(self)
    }

    fn proxy_of(&self, node: &Redis) -> Option<FaultyProxy> {
        Sentinel::proxy_of(self, node)
    }

    async fn primary(&self, _which: usize) -> Result<Redis> {
        Ok(Sentinel::primary(self).await?)
    }

    async fn strike(&self, primary: &Redis, strike: &Strike) -> Result<()> {
        match strike.kind {
            Kind::Failover => fail_over(primary, strike, self.primary_after(primary)).await?,
            _ => drop(self.failover().await?),
        }
        Ok(())
    }

    async fn settled(&self) -> Result<()> {
        Ok(Sentinel::settled(self).await?)
    }
}
