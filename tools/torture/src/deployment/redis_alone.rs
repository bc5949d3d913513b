//! One Redis server that has every write on its disk before it answers.

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{AppendFsync, FaultyProxy, Redis, TestbedError};
use tokio::time::sleep;

use super::{Deployment, network, server};
use crate::{
    check::Promise,
    disk::SmallDisk,
    fault::{Kind, Strike},
    worker::Target,
};

pub(super) struct RedisAlone {
    redis: Redis,
    /// One for each worker, so that the network can be broken for one alone.
    proxies: Vec<FaultyProxy>,
    disk: Option<SmallDisk>,
}

impl RedisAlone {
    pub(super) async fn start(disk: Option<&SmallDisk>) -> Result<Self, TestbedError> {
        let mut builder = Redis::builder().append_only(AppendFsync::Always);
        if let Some(disk) = disk {
            builder = builder.folder_in(disk.path());
        }
        let redis = builder.start().await?;
        Ok(Self {
            proxies: network::proxies(redis.address())?,
            redis,
            disk: disk.cloned(),
        })
    }
}

#[async_trait]
impl Deployment for RedisAlone {
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Kind::NETWORK.to_vec();
        kinds.extend([Kind::ServerKilled, Kind::ServerPaused, Kind::MemoryFull]);
        kinds.extend(self.disk.as_ref().map(|_| Kind::DiskFull));
        kinds
    }

    fn target(&self, place: usize) -> Target {
        let proxy = &self.proxies[place % self.proxies.len()];
        Target::Redis {
            url: proxy.url(&self.redis.url()),
            replicas: 0,
        }
    }

    fn healed_target(&self) -> Target {
        Target::Redis {
            url: self.redis.url(),
            replicas: 0,
        }
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        if network::strike(strike, &self.proxies, &[]).await
            || server::strike(strike, &self.redis).await?
        {
            return Ok(());
        }
        match strike.kind {
            Kind::MemoryFull => fill_memory(&self.redis, strike).await?,
            Kind::DiskFull => server::fill_disk(strike, &self.redis, self.disk.as_ref()).await?,
            _ => {}
        }
        Ok(())
    }

    fn is_failover(&self, _kind: Kind) -> bool {
        false
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        self.proxies.clone()
    }
}

/// Leaves the server no memory for writes.
pub(super) async fn fill_memory(redis: &Redis, strike: &Strike) -> Result<()> {
    redis.command(&["CONFIG", "SET", "maxmemory", "1"])?;
    sleep(strike.lasts).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"])?;
    Ok(())
}
