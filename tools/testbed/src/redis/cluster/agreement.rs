//! What the nodes of a Cluster think of each other, and waiting until they agree.

use super::{Cluster, node::Node, setup::PRIMARIES, view::ClusterView};
use crate::{
    TestbedError,
    redis::{Redis, member},
    wait::{Not, Wait},
};

impl Cluster {
    pub(super) fn node_of(&self, redis: &Redis) -> Option<&Node> {
        self.all().iter().find(|node| node.member.redis.is(redis))
    }

    /// The nodes of which an answer can be expected.
    pub(super) fn serving(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.all().iter();
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
            log: &|| member::logs(self.all().iter().map(|node| &node.member.redis)),
        };
        wait.until(question)
    }

    pub(super) fn wait_for_replica(&self, slot: u16) -> Result<Redis, TestbedError> {
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

    pub(super) fn agreed_primaries(&self) -> Result<Vec<Redis>, Not> {
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
            .filter(|node| node.is_serving())
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
        self.all().iter().find(|node| node.id == id)
    }
}
