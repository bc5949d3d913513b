//! What a Cluster is started with.

use std::time::Duration;

use super::{
    Cluster,
    node::Node,
    setup::{self, PRIMARIES},
};
use crate::{
    TestbedError,
    redis::{RedisBuilder, member::Member},
    unblock::unblock,
};

const DOWN_AFTER: Duration = Duration::from_secs(1);

/// What a Cluster is started with.
#[derive(Debug, Clone, Default)]
pub struct ClusterBuilder {
    node: RedisBuilder,
    proxied: bool,
    down_after: Option<Duration>,
}

impl ClusterBuilder {
    /// What each node is started with.
    #[must_use]
    pub fn node(mut self, node: RedisBuilder) -> Self {
        self.node = node;
        self
    }

    /// Puts a [`FaultyProxy`](crate::FaultyProxy) before each node. The Cluster names the proxies to clients, also when
    /// it sends them on to another node. Replicas go through them as well; what nodes tell each
    /// other about the Cluster does not.
    #[must_use]
    pub fn behind_proxies(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// After this long without an answer a server is taken for down, and replaced: a second
    /// unless said otherwise. Where nothing is to fail it should be so long that a busy machine is
    /// not taken for a fault.
    #[must_use]
    pub fn down_after(mut self, silence: Duration) -> Self {
        self.down_after = Some(silence);
        self
    }

    /// Starts six nodes and waits until they serve as a Cluster: three primaries with a third of
    /// the slots each, and a replica for each of them.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::start`], and [`TestbedError::Timeout`] if they do not find together.
    pub async fn start(self) -> Result<Cluster, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Cluster, TestbedError> {
        let mut nodes = Vec::new();
        for _ in 0..2 * PRIMARIES {
            nodes.push(self.start_node()?);
        }
        let cluster = Cluster::of(nodes);
        setup::join(&cluster)?;
        Ok(cluster)
    }

    fn start_node(&self) -> Result<Node, TestbedError> {
        let down_after = self.down_after.unwrap_or(DOWN_AFTER);
        let builder = self
            .node
            .clone()
            .directive("cluster-enabled", "yes")
            .directive("cluster-node-timeout", &down_after.as_millis().to_string());
        let member = Member::start(builder, self.proxied, "cluster-announce-port")?;
        let id = member.redis.command(&["CLUSTER", "MYID"])?;
        Ok(Node::new(id.text().unwrap_or_default(), member))
    }
}
