//! The deployment as a test holds it.

use std::{net::SocketAddr, sync::Arc};

use super::{SERVICE, SentinelBuilder};
use crate::{
    FaultyProxy, TestbedError,
    redis::{Redis, host_list, member::Member},
    unblock::unblock,
};

#[derive(Debug)]
struct Parts {
    nodes: Vec<Member>,
    sentinels: Vec<Redis>,
}

/// A running primary with two replicas and three Sentinels, who declare it down after half a
/// second. Clones are handles of the same deployment.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Sentinel, skip_or_fail};
///
/// let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
///     return Ok(());
/// };
/// let old = sentinel.primary().await?;
/// let new = sentinel.kill_primary().await?;
/// assert_ne!(new.port(), old.port());
/// old.restart().await?;
/// sentinel.settled().await?;
/// assert_eq!(sentinel.primary().await?.port(), new.port(), "it came back as a replica");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sentinel {
    parts: Arc<Parts>,
}

impl Sentinel {
    /// What to start it with.
    #[must_use]
    pub fn builder() -> SentinelBuilder {
        SentinelBuilder::default()
    }

    /// Starts a deployment that keeps nothing on disk.
    ///
    /// # Errors
    ///
    /// As [`SentinelBuilder::start`].
    pub async fn start() -> Result<Self, TestbedError> {
        Self::builder().start().await
    }

    /// By what name clients ask for the primary.
    #[must_use]
    pub fn service_name(&self) -> &str {
        SERVICE
    }

    /// Where the Sentinels listen.
    #[must_use]
    pub fn sentinel_addresses(&self) -> Vec<SocketAddr> {
        self.parts
            .sentinels
            .iter()
            .map(|sentinel| sentinel.address())
            .collect()
    }

    /// `redis+sentinel://HOST:PORT,…/SERVICE`, with which `idem-redis` finds the primary.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts = host_list(&self.sentinel_addresses());
        format!("redis+sentinel://{hosts}/{}", self.service_name())
    }

    /// The Sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.parts.sentinels
    }

    /// The primary and the replicas, whichever is which at the moment; first the one that was the
    /// primary at the beginning.
    #[must_use]
    pub fn nodes(&self) -> Vec<Redis> {
        let nodes = self.parts.nodes.iter();
        nodes.map(|node| node.redis.clone()).collect()
    }

    /// The proxy before `node`; none if it is not of this deployment or not
    /// [behind one](SentinelBuilder::behind_proxies).
    #[must_use]
    pub fn proxy_of(&self, node: &Redis) -> Option<FaultyProxy> {
        let mut nodes = self.parts.nodes.iter();
        nodes.find(|member| member.redis.is(node))?.proxy.clone()
    }

    /// The primary, once all Sentinels that run name the same one and it sees itself as that.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not come to agree.
    pub async fn primary(&self) -> Result<Redis, TestbedError> {
        let deployment = self.clone();
        unblock(move || deployment.wait_for_primary(None)).await
    }

    /// Kills the primary with SIGKILL, and waits for the Sentinels to make another one, which it
    /// returns.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not.
    pub async fn kill_primary(&self) -> Result<Redis, TestbedError> {
        let deployment = self.clone();
        unblock(move || {
            let old = deployment.wait_for_primary(None)?;
            old.kill();
            deployment.wait_for_primary(Some(&old))
        })
        .await
    }

    /// Waits for the Sentinels to name another primary than `old`, which was killed, paused or cut
    /// off by other means, and returns it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not.
    pub async fn primary_after(&self, old: &Redis) -> Result<Redis, TestbedError> {
        let (deployment, old) = (self.clone(), old.clone());
        unblock(move || deployment.wait_for_primary(Some(&old))).await
    }

    /// Has a Sentinel make a replica the primary while the old one lives (`SENTINEL FAILOVER`),
    /// waits until all follow the new one, and returns it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn failover(&self) -> Result<Redis, TestbedError> {
        let deployment = self.clone();
        unblock(move || {
            let old = deployment.wait_for_primary(None)?;
            deployment.order_failover()?;
            let new = deployment.wait_for_primary(Some(&old))?;
            deployment.wait_until_settled()?;
            Ok(new)
        })
        .await
    }

    /// Waits until every node that runs follows the primary, and every Sentinel that runs knows the
    /// others and all nodes: then the next failover can come.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn settled(&self) -> Result<(), TestbedError> {
        let deployment = self.clone();
        unblock(move || deployment.wait_until_settled()).await
    }

    pub(super) fn of(nodes: Vec<Member>, sentinels: Vec<Redis>) -> Self {
        Self {
            parts: Arc::new(Parts { nodes, sentinels }),
        }
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.parts.nodes
    }
}
