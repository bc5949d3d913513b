//! The servers behind a connection, one by one.

use std::sync::Arc;

use redis::{
    Cmd, Value,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
};

use super::{Cluster, Connection, Kind, Member, Replied, io_error, reply};
use crate::error::Failure;

/// A server that takes writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The only one.
    Only,
    /// One of a Cluster.
    At {
        /// A name or an address.
        host: String,
        /// Where it listens.
        port: u16,
    },
}

impl Node {
    /// Reads `HOST:PORT`, or nothing for the only one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Only);
        }
        let (host, port) = text.rsplit_once(':')?;
        Some(Self::At {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

/// As [`parse`](Node::parse) reads it.
impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::At { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Connection {
    /// All servers that take writes, in an order that stays.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let (cluster, connection) = match self.kind() {
            Kind::Server(_) => return Ok(vec![Node::Only]),
            Kind::Cluster(Cluster::Own(slots)) => {
                let owners = slots.owners().into_iter();
                let at = |node: Arc<Member>| {
                    let (host, port) = node.address.clone();
                    Node::At { host, port }
                };
                return Ok(owners.map(at).collect());
            }
            Kind::Cluster(cluster @ Cluster::Driver { connection, .. }) => (cluster, connection),
        };
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let mut connection = connection.clone();
        let pongs = connection.route_command(redis::cmd("PING"), all).await;
        let Value::Map(pongs) = reply(pongs).map_err(|error| cluster.failure(error))? else {
            return Err(Failure::maybe(io_error("no map of nodes")));
        };
        let mut nodes: Vec<_> = pongs
            .into_iter()
            .filter_map(|(address, _)| match address {
                Value::BulkString(address) => Node::parse(std::str::from_utf8(&address).ok()?),
                _ => None,
            })
            .collect();
        nodes.sort();
        Ok(nodes)
    }

    /// Sends a command to one server.
    pub(crate) async fn command_at(&self, node: &Node, cmd: Cmd) -> Replied {
        match (self.kind(), node) {
            (Kind::Server(server), _) => server.command(cmd).await,
            (Kind::Cluster(Cluster::Own(slots)), Node::At { host, port }) => {
                let node = slots.node(&(host.clone(), *port))?;
                node.server.command(cmd).await
            }
            (
                Kind::Cluster(cluster @ Cluster::Driver { connection, .. }),
                Node::At { host, port },
            ) => {
                let address = SingleNodeRoutingInfo::ByAddress {
                    host: host.clone(),
                    port: *port,
                };
                let routing = RoutingInfo::SingleNode(address);
                let mut connection = connection.clone();
                let result = connection.route_command(cmd, routing).await;
                reply(result).map_err(|error| cluster.failure(error))
            }
            (Kind::Cluster(_), Node::Only) => Err(Failure::maybe(io_error("no node is named"))),
        }
    }
}
