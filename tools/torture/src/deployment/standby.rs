//! Postgres with a synchronous standby, which takes over when the primary is killed.

use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use idem_core::store::StoreError;
use idem_testbed::{FaultyProxy, Postgres, Replication, TestbedError};
use tokio::time::sleep;

use super::{
    Deployment, Opened, Plan, network,
    postgres::{self, builder, lock_rows},
    server,
};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

/// How long a standby may take to be synchronous again after it was away.
const CATCH_UP: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) struct Pair;

#[async_trait]
impl Plan for Pair {
    fn name(&self) -> &'static str {
        "standby"
    }

    async fn start(&self, _: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        let primary = builder().start().await?;
        let standby = primary.add_standby(Replication::Synchronous).await?;
        Ok(Box::new(WithStandby {
            proxies: network::proxies(primary.address())?,
            primary,
            standby,
        }))
    }

    async fn open(&self, url: &str) -> Result<Opened, StoreError> {
        postgres::open(url).await
    }
}

struct WithStandby {
    primary: Postgres,
    standby: Postgres,
    /// One for each worker; they lead to the primary, whichever that is.
    proxies: Vec<FaultyProxy>,
}

impl WithStandby {
    /// What was committed while the standby was away is promised only once it is back.
    async fn wait_until_synchronous(&self) -> Result<()> {
        let question = "SELECT count(*) FROM pg_stat_replication \
                        WHERE state = 'streaming' AND sync_state = 'sync'";
        let synchronous = async {
            loop {
                let answer = self.primary.sql(question);
                if matches!(answer.as_deref(), Ok([row]) if row == &[Some("1".to_owned())]) {
                    return;
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(CATCH_UP, synchronous).await.is_err() {
            bail!(
                "the standby is not synchronous: {}",
                self.standby.log_tail()
            );
        }
        Ok(())
    }

    async fn fail_over(&mut self, strike: &Strike) -> Result<()> {
        self.primary.kill();
        sleep(strike.lasts).await;
        self.standby.promote().await?;
        for proxy in &self.proxies {
            proxy.set_target(self.standby.address());
            proxy.cut_connections();
        }
        let new = self.standby.add_standby(Replication::Synchronous).await?;
        self.primary = std::mem::replace(&mut self.standby, new);
        Ok(())
    }
}

#[async_trait]
impl Deployment for WithStandby {
    fn kinds(&self) -> Vec<Kind> {
        const OWN: [Kind; 3] = [Kind::Failover, Kind::StandbyPaused, Kind::RowsLocked];
        [&Kind::NETWORK[..], &server::KINDS, &OWN].concat()
    }

    fn url(&self, place: usize) -> String {
        let proxy = &self.proxies[place % self.proxies.len()];
        format!("postgres://postgres@{}/postgres", proxy.address())
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        if network::strike(strike, &self.proxies, &[]).await {
            return Ok(());
        }
        if !server::strike(strike, &self.primary).await? {
            match strike.kind {
                Kind::StandbyPaused => server::pause(&self.standby, strike.lasts).await,
                Kind::RowsLocked => lock_rows(&self.primary, strike).await?,
                Kind::Failover => self.fail_over(strike).await?,
                _ => {}
            }
        }
        self.wait_until_synchronous().await
    }

    fn is_failover(&self, kind: Kind) -> bool {
        kind == Kind::Failover
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        self.proxies.clone()
    }
}
