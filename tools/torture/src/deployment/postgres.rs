//! One Postgres server whose commits wait for its disk.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use idem_testbed::{Durability, FaultyProxy, Postgres, PostgresBuilder, TestbedError};

use super::{Deployment, network, server};
use crate::{
    check::Promise,
    disk::SmallDisk,
    fault::{Kind, Strike},
    worker::Target,
};

pub(super) struct PostgresAlone {
    postgres: Postgres,
    /// One for each worker, so that the network can be broken for one alone.
    proxies: Vec<FaultyProxy>,
    disk: Option<SmallDisk>,
}

/// What every server here is started with: little on the disk, and commits that wait for it.
pub(super) fn builder() -> PostgresBuilder {
    Postgres::builder()
        .durability(Durability::Flushed)
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
        .setting("max_connections", "100")
}

impl PostgresAlone {
    pub(super) async fn start(disk: Option<&SmallDisk>) -> Result<Self, TestbedError> {
        let mut builder = builder().setting("wal_keep_size", "0");
        if let Some(disk) = disk {
            builder = builder.folder_in(disk.path());
        }
        let postgres = builder.start().await?;
        Ok(Self {
            proxies: network::proxies(postgres.address())?,
            postgres,
            disk: disk.cloned(),
        })
    }
}

#[async_trait]
impl Deployment for PostgresAlone {
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Kind::NETWORK.to_vec();
        kinds.extend([
            Kind::ServerKilled,
            Kind::ServerPaused,
            Kind::SessionsEnded,
            Kind::RowsLocked,
        ]);
        kinds.extend(self.disk.as_ref().map(|_| Kind::DiskFull));
        kinds
    }

    fn target(&self, place: usize) -> Target {
        let proxy = &self.proxies[place % self.proxies.len()];
        Target::Postgres {
            url: proxy.url(&self.postgres.url()),
        }
    }

    fn healed_target(&self) -> Target {
        Target::Postgres {
            url: self.postgres.url(),
        }
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        if network::strike(strike, &self.proxies, &[]).await
            || server::strike(strike, &self.postgres).await?
        {
            return Ok(());
        }
        match strike.kind {
            Kind::SessionsEnded => end_sessions(&self.postgres)?,
            Kind::RowsLocked => lock_rows(&self.postgres, strike).await?,
            Kind::DiskFull => server::fill_disk(strike, &self.postgres, self.disk.as_ref()).await?,
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

fn end_sessions(postgres: &Postgres) -> Result<()> {
    postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )?;
    Ok(())
}

/// Holds some rows in a transaction of its own.
pub(super) async fn lock_rows(postgres: &Postgres, strike: &Strike) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT FROM idem.records WHERE hashtext(key) % 2 = {} \
         ORDER BY created_at DESC LIMIT 20 FOR UPDATE) locked; SELECT pg_sleep({})",
        strike.which % 2,
        strike.lasts.as_secs_f64()
    );
    let postgres = postgres.clone();
    let locked = tokio::task::spawn_blocking(move || postgres.sql(&sql)).await;
    locked.context("locking rows panicked")??;
    Ok(())
}
