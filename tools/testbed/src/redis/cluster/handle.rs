//! The Cluster as a test holds it.

use std::{net::SocketAddr, sync::Arc};

use super::{ClusterBuilder, SlotMigration, node::Node};
use crate::{
    FaultyProxy, TestbedError,
    redis::{Redis, Reply, host_list},
    unblock::unblock,
};

/// A running Cluster of six nodes, who declare one of them down after a second. Clones are handles
/// of the same Cluster.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Cluster, skip_or_fail};
///
/// let Some(cluster) = skip_or_fail(Cluster::start().await) else {
///     return Ok(());
/// };
/// let slot = cluster.slot_of("colour")?;
/// let owner = cluster.owner_of(slot).await?;
/// owner.command(&["SET", "colour", "blue"])?;
///
/// let other = cluster.primaries().await?.into_iter().find(|node| node.port() != owner.port());
/// let other = other.expect("there are three primaries");
/// cluster.migrate_slot(slot, &other).await?;
/// assert_eq!(other.command(&["GET", "colour"])?.text().as_deref(), Some("blue"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Cluster {
    nodes: Arc<[Node]>,
}

impl Cluster {
    /// What to start it with.
    #[must_use]
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Starts a Cluster that keeps nothing on disk.
    ///
    /// # Errors
    ///
    /// As [`ClusterBuilder::start`].
    pub async fn start() -> Result<Self, TestbedError> {
        Self::builder().start().await
    }

    /// Where clients reach its nodes: the proxies, where it is behind them.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let nodes = self.nodes.iter();
        nodes.map(|node| node.member.address()).collect()
    }

    /// `redis://127.0.0.1:PORT/` for each node, as clients reach it.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let addresses = self.addresses().into_iter();
        addresses
            .map(|address| format!("redis://{address}/"))
            .collect()
    }

    /// `redis+cluster://HOST:PORT,…`, with which `idem-redis` finds the nodes.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+cluster://{}", host_list(&self.addresses()))
    }

    /// All nodes, whether they are primaries or replicas at the moment.
    #[must_use]
    pub fn nodes(&self) -> Vec<Redis> {
        let nodes = self.nodes.iter();
        nodes.map(|node| node.member.redis.clone()).collect()
    }

    /// The proxy before `node`; none if it is not of this Cluster or not
    /// [behind one](ClusterBuilder::behind_proxies).
    #[must_use]
    pub fn proxy_of(&self, node: &Redis) -> Option<FaultyProxy> {
        self.node_of(node)?.member.proxy.clone()
    }

    /// The slot that `key` is in.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Io`] if no node runs.
    pub fn slot_of(&self, key: &str) -> Result<u16, TestbedError> {
        let node = self.serving().next().unwrap_or(&self.nodes[0]);
        let answer = node.member.redis.command(&["CLUSTER", "KEYSLOT", key])?;
        match answer {
            Reply::Integer(slot) => Ok(u16::try_from(slot).expect("there are 16384 slots")),
            other => Err(TestbedError::Refused {
                server: node.member.redis.name().to_owned(),
                command: "CLUSTER KEYSLOT".to_owned(),
                answer: other.to_string(),
            }),
        }
    }

    /// The primary that owns `slot`, once all nodes that run agree on one that runs.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not come to agree.
    pub async fn owner_of(&self, slot: u16) -> Result<Redis, TestbedError> {
        let cluster = self.clone();
        unblock(move || cluster.wait_for_owner(slot, None)).await
    }

    /// The three primaries, once all nodes that run agree on them.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if they do not come to agree.
    pub async fn primaries(&self) -> Result<Vec<Redis>, TestbedError> {
        let cluster = self.clone();
        unblock(move || {
            cluster.wait_for("three primaries that all agree on", || {
                cluster.agreed_primaries()
            })
        })
        .await
    }

    /// The replica of the primary that owns `slot`, once all nodes that run agree on that primary.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if there is none that runs.
    pub async fn replica_of(&self, slot: u16) -> Result<Redis, TestbedError> {
        let cluster = self.clone();
        unblock(move || cluster.wait_for_replica(slot)).await
    }

    /// Kills the owner of `slot` with SIGKILL, and waits for its replica to take over, which it
    /// returns.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if it does not.
    pub async fn kill_owner(&self, slot: u16) -> Result<Redis, TestbedError> {
        let cluster = self.clone();
        unblock(move || {
            let old = cluster.wait_for_owner(slot, None)?;
            old.kill();
            cluster.wait_for_owner(slot, Some(&old))
        })
        .await
    }

    /// Waits for `slot` to have another owner than `old`, which was killed or paused by other means,
    /// and returns it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn owner_after(&self, slot: u16, old: &Redis) -> Result<Redis, TestbedError> {
        let (cluster, old) = (self.clone(), old.clone());
        unblock(move || cluster.wait_for_owner(slot, Some(&old))).await
    }

    /// Has the replica of `slot` change places with its primary while that one lives (`CLUSTER
    /// FAILOVER`), waits until all agree, and returns the new owner. A replica that was the primary
    /// until just now is given the seconds that a node must wait between two elections.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn failover(&self, slot: u16) -> Result<Redis, TestbedError> {
        let cluster = self.clone();
        unblock(move || {
            let old = cluster.wait_for_owner(slot, None)?;
            let replica = cluster.wait_for_replica(slot)?;
            if let Some(node) = cluster.node_of(&replica) {
                node.rest();
            }
            replica.command(&["CLUSTER", "FAILOVER"])?;
            let new = cluster.wait_for_owner(slot, Some(&old))?;
            cluster.wait_until_settled()?;
            Ok(new)
        })
        .await
    }

    /// Waits until every node that runs thinks the same of all nodes that run, all slots are
    /// served, and every replica follows its primary: then the next failover can come.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if that does not come about.
    pub async fn settled(&self) -> Result<(), TestbedError> {
        let cluster = self.clone();
        unblock(move || cluster.wait_until_settled()).await
    }

    /// Moves `slot` with all its keys to the primary `to`, and waits until all agree.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] if `to` is no primary.
    pub async fn migrate_slot(&self, slot: u16, to: &Redis) -> Result<(), TestbedError> {
        let migration = self.begin_migration(slot, to).await?;
        migration.move_keys().await?;
        migration.finish().await
    }

    /// Begins to move `slot` to the primary `to`: from here until the end of the migration, clients
    /// who ask its owner for a key that is not there are told to `ASK` the other one.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] if `to` is no primary.
    pub async fn begin_migration(
        &self,
        slot: u16,
        to: &Redis,
    ) -> Result<SlotMigration, TestbedError> {
        let (cluster, to) = (self.clone(), to.clone());
        unblock(move || {
            let from = cluster.wait_for_owner(slot, None)?;
            SlotMigration::begin(cluster, slot, from, to)
        })
        .await
    }

    pub(super) fn of(nodes: Vec<Node>) -> Self {
        Self {
            nodes: nodes.into(),
        }
    }

    pub(super) fn all(&self) -> &[Node] {
        &self.nodes
    }
}
