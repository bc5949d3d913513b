//! [`Slots`]: which node of a Cluster owns which slot, and a connection to each.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{ConnectionInfo, ErrorKind, Value, cluster_routing::Slot};
use tokio::{sync::Mutex, time::timeout};

use super::{
    cluster::Address,
    connector::{Connector, at},
    kept::Kept,
    server::Server,
};
use crate::{RedisConfig, batch::Batches, error::Failure, facts::Facts};

/// The table that `CLUSTER SLOTS` gives, asked for again when a node redirects or cannot be reached.
pub(crate) struct Slots {
    /// How a node is connected to; its address is replaced.
    template: ConnectionInfo,
    config: RedisConfig,
    pub(crate) facts: Arc<Facts>,
    seeds: Vec<Arc<Member>>,
    table: RwLock<Arc<Table>>,
    /// Held while the table is asked for.
    refreshing: Mutex<()>,
}

/// A node.
pub(crate) struct Member {
    pub(crate) address: Address,
    pub(crate) server: Server,
    /// Made by whoever sends the first request.
    pub(crate) batches: OnceLock<Batches>,
}

#[derive(Default)]
struct Table {
    nodes: HashMap<Address, Arc<Member>>,
    owners: HashMap<Slot, Arc<Member>>,
}

impl Slots {
    /// Finds the Cluster by some of its nodes.
    pub(crate) async fn find(
        seeds: Vec<ConnectionInfo>,
        config: &RedisConfig,
    ) -> Result<Self, Failure> {
        let template = seeds.first().cloned().ok_or_else(no_answer)?;
        let facts = Arc::default();
        let seeds = seeds.into_iter().map(|seed| member(seed, config, &facts));
        let slots = Self {
            seeds: seeds.collect::<Result<_, _>>()?,
            template,
            config: config.clone(),
            facts,
            table: RwLock::default(),
            refreshing: Mutex::new(()),
        };
        slots.ask(&slots.seeds).await?;
        Ok(slots)
    }

    /// The node that owns the slot of this name, as far as is known.
    pub(crate) fn owner(&self, name: &str) -> Option<Arc<Member>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.owners.get(&Slot::for_key(name)).cloned()
    }

    /// The node at this address.
    pub(crate) fn node(&self, address: &Address) -> Result<Arc<Member>, Failure> {
        match self.table().nodes.get(address) {
            Some(node) => Ok(Arc::clone(node)),
            None => self.member(address),
        }
    }

    /// All nodes that own slots, in an order that stays.
    pub(crate) fn owners(&self) -> Vec<Arc<Member>> {
        let mut owners: Vec<_> = self.table().nodes.values().cloned().collect();
        owners.sort_by(|one, other| one.address.cmp(&other.address));
        owners
    }

    /// Asks for the table again, unless somebody has done so meanwhile. Goes on with the old one if
    /// nobody answers.
    pub(crate) async fn refresh(&self) {
        let known = self.table();
        let _refreshing = self.refreshing.lock().await;
        if !Arc::ptr_eq(&known, &self.table()) {
            return;
        }
        let mut nodes: Vec<_> = known.nodes.values().cloned().collect();
        nodes.extend(self.seeds.iter().cloned());
        let asking = timeout(self.config.connect_timeout, self.ask(&nodes));
        if let Ok(Err(failure)) = asking.await {
            tracing::debug!(error = %failure.error, "no node tells who owns which slot");
        }
    }

    /// Takes the table from the node that answers first.
    async fn ask(&self, nodes: &[Arc<Member>]) -> Result<(), Failure> {
        let mut answers: FuturesUnordered<_> = nodes
            .iter()
            .map(async |node| {
                let mut slots = redis::cmd("CLUSTER");
                slots.arg("SLOTS");
                let reply = node.server.command(slots).await?;
                self.read(reply, &node.address)
            })
            .collect();
        let mut first_failure = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(table) => {
                    *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
                    return Ok(());
                }
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        Err(first_failure.unwrap_or_else(no_answer))
    }

    /// Reads `[[first, last, [host, port, …], …], …]`.
    fn read(&self, reply: Value, asked: &Address) -> Result<Table, Failure> {
        let known = self.table();
        let mut table = Table::default();
        let Value::Array(ranges) = reply else {
            return Err(Failure::unexpected_reply());
        };
        for range in ranges {
            let (first, last, address) =
                range_of(range, &asked.0).ok_or_else(Failure::unexpected_reply)?;
            let node = match table
                .nodes
                .get(&address)
                .or_else(|| known.nodes.get(&address))
            {
                Some(node) => Arc::clone(node),
                None => self.member(&address)?,
            };
            table.nodes.insert(address, Arc::clone(&node));
            let slots = (first..=last).filter_map(Slot::new);
            table
                .owners
                .extend(slots.map(|slot| (slot, Arc::clone(&node))));
        }
        match table.nodes.is_empty() {
            true => Err(no_answer()),
            false => Ok(table),
        }
    }

    fn member(&self, (host, port): &Address) -> Result<Arc<Member>, Failure> {
        let info = at(&self.template, host.clone(), *port);
        member(info, &self.config, &self.facts)
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn member(
    info: ConnectionInfo,
    config: &RedisConfig,
    facts: &Arc<Facts>,
) -> Result<Arc<Member>, Failure> {
    use redis::ConnectionAddr::{Tcp, TcpTls};
    let address = match info.addr() {
        Tcp(host, port) | TcpTls { host, port, .. } => (host.clone(), *port),
        _ => return Err(no_answer()),
    };
    let connector = Connector::server(info, config).map_err(Failure::not_sent)?;
    let kept = Kept::new(connector.telling(facts));
    Ok(Arc::new(Member {
        address,
        server: Server::Kept(Arc::new(kept)),
        batches: OnceLock::new(),
    }))
}

fn range_of(range: Value, asked: &str) -> Option<(u16, u16, Address)> {
    let Value::Array(range) = range else {
        return None;
    };
    let mut parts = range.into_iter();
    let (Value::Int(first), Value::Int(last)) = (parts.next()?, parts.next()?) else {
        return None;
    };
    let Value::Array(node) = parts.next()? else {
        return None;
    };
    let host = match node.first()? {
        Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
        // A node that does not know its own address is reached where it was asked.
        _ => asked.to_owned(),
    };
    let Value::Int(port) = node.get(1)? else {
        return None;
    };
    let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
    Some((first, last, (host, u16::try_from(*port).ok()?)))
}

fn no_answer() -> Failure {
    let error = (
        ErrorKind::ClusterConnectionNotFound,
        "no node of the Cluster answers",
    )
        .into();
    Failure::not_sent(error)
}
