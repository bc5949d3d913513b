//! What one node of a Cluster thinks of all of them.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// The answer to `CLUSTER NODES`, by the numbers that nodes go by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ClusterView {
    pub(super) nodes: BTreeMap<String, NodeView>,
}

/// What is thought of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeView {
    pub(super) flags: Vec<String>,
    /// Whom it follows; none for a primary.
    pub(super) primary: Option<String>,
    pub(super) slots: Vec<RangeInclusive<u16>>,
}

impl ClusterView {
    /// Reads the answer; lines that say nothing about a node are passed over.
    pub(super) fn parse(answer: &str) -> Self {
        Self {
            nodes: answer.lines().filter_map(NodeView::parse).collect(),
        }
    }

    /// The number of the primary that owns `slot`.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        let mut nodes = self.nodes.iter();
        let (id, _) = nodes.find(|(_, node)| node.owns(slot))?;
        Some(id)
    }

    /// The numbers of the nodes that follow `primary`.
    pub(super) fn replicas<'a>(&'a self, primary: &'a str) -> impl Iterator<Item = &'a str> {
        let nodes = self.nodes.iter();
        nodes
            .filter(move |(_, node)| node.primary.as_deref() == Some(primary))
            .map(|(id, _)| id.as_str())
    }

    /// Who owns what, without what changes from one look to the next.
    pub(super) fn owners(&self) -> BTreeMap<&str, &[RangeInclusive<u16>]> {
        let nodes = self.nodes.iter();
        nodes
            .filter(|(_, node)| !node.slots.is_empty())
            .map(|(id, node)| (id.as_str(), node.slots.as_slice()))
            .collect()
    }
}

impl NodeView {
    /// `id address flags primary ping pong epoch link slot…`
    fn parse(line: &str) -> Option<(String, Self)> {
        let mut words = line.split(' ');
        let id = words.next()?.to_owned();
        let flags = words.nth(1)?.split(',').map(str::to_owned).collect();
        let primary = words.next().filter(|primary| *primary != "-");
        let node = Self {
            flags,
            primary: primary.map(str::to_owned),
            slots: words.skip(4).filter_map(slots).collect(),
        };
        Some((id, node))
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }

    fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

/// `7`, or `0-5460`. A slot on its way, `[7->-id]`, is still the source's.
fn slots(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::ClusterView;

    const NODES: &str = "\
aaa 127.0.0.1:1@11 myself,master - 0 0 1 connected 0-5460 7000 [7->-bbb]
bbb 127.0.0.1:2@12,host master - 0 1 2 connected 5461-6999
ccc 127.0.0.1:3@13 slave,fail aaa 1 1 1 disconnected
";

    #[test]
    fn owners_and_followers_are_read() {
        let view = ClusterView::parse(NODES);
        assert_eq!(
            view.owner(7),
            Some("aaa"),
            "a slot on its way is still the source's"
        );
        assert_eq!(view.owner(7000), Some("aaa"));
        assert_eq!(view.owner(6999), Some("bbb"));
        assert_eq!(view.owner(7001), None);
        assert_eq!(view.replicas("aaa").collect::<Vec<_>>(), ["ccc"]);
        assert!(view.nodes["ccc"].has("fail"));
    }
}
