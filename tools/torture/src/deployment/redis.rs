//! One Redis server that has every write on its disk before it answers.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_redis::{Durability, RedisConfig, RedisStore};
use idem_testbed::{AppendFsync, FaultyProxy, Redis, Server, TestbedError};
use tokio::time::sleep;

use super::{
    Deployment, Opened, Plan, network,
    single::{Own, Single},
};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

pub(super) struct Alone;

#[async_trait]
impl Plan for Alone {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn start(&self, disk: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let mut builder = Redis::builder().append_only(AppendFsync::Always);
        if let Some(disk) = disk {
            builder = builder.folder_in(disk.path());
        }
        Single::before(builder.start().await?, disk)
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        open(url, 0).await
    }

    fn fills_disk(&self) -> bool {
        true
    }
}

#[async_trait]
impl Own for Redis {
    fn server(&self) -> &Server {
        self
    }

    fn url(&self) -> String {
        Redis::url(self)
    }

    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::MemoryFull,
            Kind::MemoryFullPastLease,
            Kind::LargeEndingsFail,
        ]
    }

    async fn strike(&self, strike: &Strike, proxies: &[FaultyProxy]) -> Result<()> {
        match strike.kind {
            Kind::LargeEndingsFail => network::stop_large_ones(strike, proxies).await,
            _ => fill_memory(self, strike).await?,
        }
        Ok(())
    }
}

/// Leaves the server no memory for writes.
pub(super) async fn fill_memory(redis: &Redis, strike: &Strike) -> Result<()> {
    redis.command(&["CONFIG", "SET", "maxmemory", "1"])?;
    sleep(strike.lasts).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "0"])?;
    Ok(())
}

/// Opens Redis in any deployment; writes wait for so many replicas.
pub(super) async fn open(url: &str, replicas: u32) -> Result<Opened, StoreError> {
    let durability = match replicas {
        0 => Durability::Acknowledged,
        replicas => Durability::Replicated {
            replicas,
            timeout: Duration::from_millis(150),
        },
    };
    let config = RedisConfig::default()
        .durability(durability)
        .connect_timeout(Duration::from_millis(300))
        .response_timeout(Duration::from_millis(300));
    let store = RedisStore::connect_with(url, config).await?;
    Ok(Opened {
        watch: Some(Arc::new(store.clone())),
        store: Arc::new(store),
    })
}
