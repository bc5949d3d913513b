//! One server, which each worker reaches through a proxy of its own.

use anyhow::Result;
use async_trait::async_trait;
use idem_testbed::{FaultyProxy, Server, TestbedError};

use super::{Deployment, network, server};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

/// What differs between servers.
#[async_trait]
pub(super) trait Own: Send + Sync {
    fn server(&self) -> &Server;

    fn url(&self) -> String;

    /// The faults that only this kind of server has.
    fn kinds(&self) -> Vec<Kind>;

    /// Strikes with one of them, and heals what was struck. The proxies lead to the server.
    async fn strike(&self, strike: &Strike, proxies: &[FaultyProxy]) -> Result<()>;
}

pub(super) struct Single<S> {
    own: S,
    /// One for each worker, so that the network can be broken for one alone.
    proxies: Vec<FaultyProxy>,
    disk: Option<SmallDisk>,
}

impl<S: Own + 'static> Single<S> {
    /// Puts proxies before a server that runs on this disk, if it is to be filled.
    pub(super) fn before(
        own: S,
        disk: Option<&SmallDisk>,
    ) -> Result<Box<dyn Deployment>, TestbedError> {
        Ok(Box::new(Self {
            proxies: network::proxies(own.server().address())?,
            own,
            disk: disk.cloned(),
        }))
    }
}

#[async_trait]
impl<S: Own> Deployment for Single<S> {
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = [&Kind::NETWORK[..], &server::KINDS, &self.own.kinds()].concat();
        kinds.extend(self.disk.as_ref().map(|_| Kind::DiskFull));
        kinds
    }

    fn url(&self, place: usize) -> String {
        let proxy = &self.proxies[place % self.proxies.len()];
        proxy.url(&self.own.url())
    }

    fn healed_url(&self) -> String {
        self.own.url()
    }

    async fn strike(&mut self, strike: &Strike) -> Result<()> {
        if network::strike(strike, &self.proxies, &[]).await
            || server::strike(strike, self.own.server()).await?
        {
            return Ok(());
        }
        match (strike.kind, &self.disk) {
            (Kind::DiskFull, Some(disk)) => {
                server::fill_disk(strike, self.own.server(), disk).await
            }
            _ => self.own.strike(strike, &self.proxies).await,
        }
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        self.proxies.clone()
    }
}
