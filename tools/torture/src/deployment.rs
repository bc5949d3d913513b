//! The deployments that are tortured: how each is started, how its store is opened, and how it is
//! broken.
//!
//! A deployment is one file here, and one line in [`ALL`]. One server by itself is a
//! [`Single`](single::Single); servers of which another may become the primary are a
//! [`Redundant`](redundant::Redundant).

mod cluster;
mod mariadb;
mod memory;
mod network;
mod postgres;
mod redis;
mod redundant;
mod sentinel;
mod server;
mod single;
mod sqlite;
mod standby;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use anyhow::Result;
use async_trait::async_trait;
use idem_core::store::{Store, StoreError, Watch};
use idem_testbed::{FaultyProxy, TestbedError};

use crate::{
    check::Promise,
    disk::SmallDisk,
    fault::{Kind, Strike},
};
pub(crate) use memory::{Inside, inside};

/// Every deployment.
static ALL: [&dyn Plan; 10] = [
    &memory::Memory,
    &redis::Alone,
    &sentinel::OfSentinel { replicas: 0 },
    &sentinel::OfSentinel { replicas: 2 },
    &cluster::OfCluster { replicas: 0 },
    &cluster::OfCluster { replicas: 1 },
    &postgres::Alone,
    &standby::Pair,
    &mariadb::Alone,
    &sqlite::OneFile,
];

/// How many workers there are at a time.
pub(crate) const WORKERS: usize = 3;

/// A deployment to be.
#[async_trait]
pub(crate) trait Plan: Sync {
    /// Unique. The first word is what is typed for it, and for its variants.
    fn name(&self) -> &'static str;

    /// Starts it. `disk` is to be filled, where there is one.
    async fn start(&self, disk: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError>;

    /// Opens the store at this URL, in a worker.
    async fn open(&self, url: &str) -> Result<Opened, StoreError>;

    /// Whether its disk is filled, where that is possible.
    fn fills_disk(&self) -> bool {
        false
    }

    /// Whether the records are in the only worker, and go with it.
    fn is_in_worker(&self) -> bool {
        false
    }
}

/// A store, and its notifications.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) watch: Option<Arc<dyn Watch>>,
}

/// Servers that run.
#[async_trait]
pub(crate) trait Deployment: Send {
    /// What it promises.
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    /// The kinds of fault that can strike its servers and the way to them.
    fn kinds(&self) -> Vec<Kind>;

    /// What the worker in this place is to use, through all faults.
    fn url(&self, place: usize) -> String;

    /// What to use when the faults are over.
    fn healed_url(&self) -> String {
        self.url(0)
    }

    /// Strikes, and heals what was struck.
    async fn strike(&mut self, strike: &Strike) -> Result<()>;

    /// Whether such a fault may be a failover here.
    fn is_failover(&self, _kind: Kind) -> bool {
        false
    }

    /// All proxies there ever were, to be asked how often they struck.
    fn proxies(&self) -> Vec<FaultyProxy>;
}

/// What is typed for one or more deployments.
pub(crate) fn words() -> BTreeSet<&'static str> {
    ALL.iter().map(|plan| word(plan.name())).collect()
}

/// The deployments of this word, or all of them.
pub(crate) fn of_word(typed: &str) -> impl Iterator<Item = &'static dyn Plan> {
    let is_meant = move |plan: &&dyn Plan| typed == "all" || word(plan.name()) == typed;
    ALL.into_iter().filter(is_meant)
}

/// The deployment of this name.
pub(crate) fn named(name: &str) -> Option<&'static dyn Plan> {
    ALL.into_iter().find(|plan| plan.name() == name)
}

fn word(name: &'static str) -> &'static str {
    name.split(' ').next().unwrap_or(name)
}

impl fmt::Debug for dyn Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often requests were hit on their way, by kind.
pub(crate) fn hits(proxies: &[FaultyProxy]) -> BTreeMap<String, u64> {
    let mut hits = BTreeMap::new();
    for counts in proxies.iter().map(FaultyProxy::counts) {
        for (kind, count) in [
            (Kind::RequestsCut, counts.cut_before_request),
            (Kind::RepliesLost, counts.lost_replies),
            (Kind::RequestsDelayed, counts.delayed_requests),
            (Kind::RepliesDelayed, counts.delayed_replies),
            (Kind::RequestsHung, counts.hung_requests),
            (Kind::RepliesHung, counts.hung_replies),
            (Kind::ConnectionsCut, counts.cut_connections),
            (Kind::ConnectionsRefused, counts.refusals),
        ] {
            *hits.entry(kind.name().to_owned()).or_default() += count;
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deployment_has_a_name_of_its_own() {
        let names: BTreeSet<_> = ALL.iter().map(|plan| plan.name()).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| named(name).is_some()));
    }
}
