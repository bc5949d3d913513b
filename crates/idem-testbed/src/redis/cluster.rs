//! A Cluster of three primaries with a replica each.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    Redis, RedisBuilder, Reply, SlotMigration,
    cluster_setup::{self, PRIMARIES},
    cluster_view::ClusterView,
    member::{self, Member},
};
use crate::{
    FaultyProxy, TestbedError,
    unblock::unblock,
    wait::{Not, Wait},
};

/// In milliseconds: after this long without an answer a node is taken for down.
const NODE_TIMEOUT: &str = "1000";

/// Four times the node timeout: for this long after an election a node does not hold another one.
/// Asked to change places sooner, it even takes the votes of the earlier election for those of the
/// new one, believes that it has won, and is put right by the others, with what it was written
/// meanwhile lost (seen on Redis 7.0).
const ELECTION_PAUSE: Duration = Duration::from_secs(4);

/// What a Cluster is started with.
#[derive(Debug, Clone, Default)]
pub struct ClusterBuilder {
    node: RedisBuilder,
    proxied: bool,
}

impl ClusterBuilder {
    /// What each node is started with.
    #[must_use]
    pub fn node(mut self, node: RedisBuilder) -> Self {
        self.node = node;
        self
    }

    /// Puts a [`FaultyProxy`] before each node. The Cluster names the proxies to clients, also when
    /// it sends them on to another node. Replicas go through them as well; what nodes tell each
    /// other about the Cluster does not.
    #[must_use]
    pub fn behind_proxies(mut self) -> Self {
        self.proxied = true;
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
        let cluster = Cluster {
            nodes: nodes.into(),
        };
        cluster_setup::join(&cluster)?;
        Ok(cluster)
    }

    fn start_node(&self) -> Result<Node, TestbedError> {
        let builder = self
            .node
            .clone()
            .directive("cluster-enabled", "yes")
            .directive("cluster-node-timeout", NODE_TIMEOUT);
        let member = Member::start(builder, self.proxied, "cluster-announce-port")?;
        let id = member.redis.command(&["CLUSTER", "MYID"])?;
        Ok(Node {
            id: id.text().unwrap_or_default(),
            member,
            elected: Mutex::new(None),
        })
    }
}

/// A server, and the number it goes by in the Cluster.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) member: Member,
    /// When it was last seen to have become a primary.
    elected: Mutex<Option<Instant>>,
}

impl Node {
    fn note_election(&self) {
        *self.elected.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Waits until it can hold an election.
    fn rest(&self) {
        let elected = *self.elected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(elected) = elected {
            thread::sleep(ELECTION_PAUSE.saturating_sub(elected.elapsed()));
        }
    }

    pub(super) fn view(&self) -> Result<ClusterView, Not> {
        let answer = self.member.ask(&["CLUSTER", "NODES"])?;
        Ok(ClusterView::parse(&answer.text().unwrap_or_default()))
    }
}

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

    pub(super) fn all(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn node_of(&self, redis: &Redis) -> Option<&Node> {
        self.nodes.iter().find(|node| node.member.redis.is(redis))
    }

    /// The nodes of which an answer can be expected.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.nodes.iter();
        nodes.filter(|node| node.member.redis.is_serving())
    }

    pub(super) fn wait_for_owner(
        &self,
        slot: u16,
        other_than: Option<&Redis>,
    ) -> Result<Redis, TestbedError> {
        let owner = self.wait_for("an owner of the slot that all agree on", || {
            let owner = self.agreed_owner(slot)?;
            match other_than {
                Some(old) if owner.is(old) => Err(Not::Yet(format!("still {}", old.name()))),
                _ => Ok(owner),
            }
        })?;
        if let (Some(node), Some(_)) = (self.node_of(&owner), other_than) {
            node.note_election();
        }
        Ok(owner)
    }

    pub(super) fn wait_until_settled(&self) -> Result<(), TestbedError> {
        self.wait_for("a Cluster that serves and agrees", || {
            self.serving().try_for_each(|node| self.is_settled(node))
        })
    }

    pub(super) fn wait_for<T>(
        &self,
        what: &str,
        question: impl FnMut() -> Result<T, Not>,
    ) -> Result<T, TestbedError> {
        let wait = Wait {
            server: "the Cluster",
            what,
            log: &|| member::logs(self.nodes.iter().map(|node| &node.member.redis)),
        };
        wait.until(question)
    }

    fn wait_for_replica(&self, slot: u16) -> Result<Redis, TestbedError> {
        self.wait_for("a replica of the slot's owner", || {
            let owner = self.agreed_owner(slot)?;
            let owner = self
                .node_of(&owner)
                .ok_or_else(|| Not::Yet("no owner".to_owned()))?;
            let view = owner.view()?;
            let replica = view
                .replicas(&owner.id)
                .filter_map(|id| self.by_id(id))
                .find(|node| node.member.redis.is_serving())
                .ok_or_else(|| Not::Yet(format!("no replica that runs: {view:?}")))?;
            replica.member.follows(owner.member.address())?;
            Ok(replica.member.redis.clone())
        })
    }

    fn agreed_owner(&self, slot: u16) -> Result<Redis, Not> {
        let mut named = Vec::new();
        for node in self.serving() {
            named.push(node.view()?.owner(slot).map(str::to_owned));
        }
        named.dedup();
        let [Some(id)] = named.as_slice() else {
            return Err(Not::Yet(format!("the nodes name {named:?}")));
        };
        match self.by_id(id) {
            Some(node) if node.member.redis.is_serving() => Ok(node.member.redis.clone()),
            _ => Err(Not::Yet(format!("{id}, which all name, does not run"))),
        }
    }

    fn agreed_primaries(&self) -> Result<Vec<Redis>, Not> {
        let mut views = Vec::new();
        for node in self.serving() {
            views.push(node.view()?);
        }
        let mut owners: Vec<_> = views.iter().map(ClusterView::owners).collect();
        owners.dedup();
        let [owners] = owners.as_slice() else {
            return Err(Not::Yet(format!("the nodes see {owners:?}")));
        };
        let primaries: Vec<Redis> = owners
            .keys()
            .filter_map(|id| self.by_id(id))
            .map(|node| node.member.redis.clone())
            .filter(Redis::is_serving)
            .collect();
        if primaries.len() == PRIMARIES {
            Ok(primaries)
        } else {
            Err(Not::Yet(format!("{} primaries run", primaries.len())))
        }
    }

    /// Whether `node` serves, and thinks of all nodes that run what they think of themselves.
    fn is_settled(&self, node: &Node) -> Result<(), Not> {
        let info = node.member.ask(&["CLUSTER", "INFO"])?;
        let info = info.text().unwrap_or_default();
        if !info.contains("cluster_state:ok") {
            return Err(Not::Yet(info));
        }
        let view = node.view()?;
        for other in self.serving() {
            let own = other.view()?;
            let (seen, own) = (view.nodes.get(&other.id), own.nodes.get(&other.id));
            let agrees = seen.zip(own).is_some_and(|(seen, own)| {
                let well = !seen.flags.iter().any(|flag| flag.contains("fail"));
                well && (&seen.primary, &seen.slots) == (&own.primary, &own.slots)
            });
            if !agrees {
                return Err(Not::Yet(format!("{seen:?} is seen where {own:?} is")));
            }
        }
        match self.primary_of(node, &view) {
            Some(primary) => node.member.follows(primary.member.address()),
            None => Ok(()),
        }
    }

    fn primary_of(&self, node: &Node, view: &ClusterView) -> Option<&Node> {
        self.by_id(view.nodes.get(&node.id)?.primary.as_deref()?)
    }

    fn by_id(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }
}
