//! Six servers become a Cluster.

use super::{Cluster, node::Node};
use crate::{TestbedError, ports::BUS_OFFSET, wait::Not};

/// How many nodes own slots. As many follow them.
pub(super) const PRIMARIES: usize = 3;

const SLOTS: usize = 16_384;

/// Does what `redis-cli --cluster create` does, without asking for that program.
pub(super) fn join(cluster: &Cluster) -> Result<(), TestbedError> {
    let (primaries, replicas) = cluster.all().split_at(PRIMARIES);
    for (index, primary) in primaries.iter().enumerate() {
        give_slots(primary, index)?;
    }
    for (epoch, node) in (1..).zip(cluster.all()) {
        // Else all begin with the same one, and settle by collision, one after the other.
        command(
            node,
            &["CLUSTER", "SET-CONFIG-EPOCH", &usize::to_string(&epoch)],
        )?;
    }
    introduce(cluster)?;
    for (replica, primary) in replicas.iter().zip(primaries) {
        command(replica, &["CLUSTER", "REPLICATE", &primary.id])?;
    }
    cluster.wait_until_settled()
}

fn give_slots(primary: &Node, index: usize) -> Result<(), TestbedError> {
    let first = index * SLOTS / PRIMARIES;
    let last = (index + 1) * SLOTS / PRIMARIES - 1;
    let (first, last) = (first.to_string(), last.to_string());
    command(primary, &["CLUSTER", "ADDSLOTSRANGE", &first, &last])
}

/// Has the first node meet all others, and waits until everybody has heard of everybody.
fn introduce(cluster: &Cluster) -> Result<(), TestbedError> {
    let all = cluster.all();
    let (first, others) = all.split_first().expect("a Cluster has six nodes");
    for other in others {
        let port = other.member.redis.port();
        let bus = (port + BUS_OFFSET).to_string();
        let port = port.to_string();
        command(first, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
    }
    cluster.wait_for("six nodes that know each other", || {
        all.iter().try_for_each(|node| {
            let view = node.view()?;
            let known = all.iter().filter(|other| {
                let seen = view.nodes.get(&other.id);
                seen.is_some_and(|seen| !seen.has("handshake"))
            });
            if known.count() == all.len() {
                Ok(())
            } else {
                Err(Not::Yet(format!("{} sees {view:?}", node.id)))
            }
        })
    })
}

fn command(node: &Node, command: &[&str]) -> Result<(), TestbedError> {
    node.member.redis.command(command).map(drop)
}
