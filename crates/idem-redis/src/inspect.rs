//! What an operator's tool asks of the servers. Changes nothing and judges nothing.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use idem_core::store::{StoreError, StoreErrorKind};
use redis::{Cmd, FromRedisValue, from_redis_value};

use crate::{RedisStore, connection::Node, store::Shared};

/// How many names under the prefix are looked at, of each server, and how many of their values.
const MOST_NAMES: usize = 10_000;
const MOST_VALUES: usize = 200;

/// What is read of each server's configuration.
const SETTINGS: &[&str] = &[
    "appendfsync",
    "appendonly",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-to-write",
    "save",
    "stop-writes-on-bgsave-error",
    "timeout",
];

/// The servers behind a store, as they are found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RedisFacts {
    /// Those that the store writes to.
    pub servers: Vec<ServerFacts>,
    /// What every name of a record begins with.
    pub prefix: String,
    /// Names under the prefix that were looked at: up to 10,000 of each server.
    pub names: u64,
    /// Whether these are all that there are.
    pub are_all_names: bool,
    /// What a record takes of the server's memory, on average over those whose values were looked at;
    /// `None` where there are none, or this user may not ask.
    pub record_bytes: Option<u64>,
    /// Those that are no record of this release: something else uses the prefix.
    pub foreign_names: u64,
}

/// One server.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerFacts {
    /// `HOST:PORT` in a Cluster, and empty for the only one.
    pub address: String,
    /// Directives of its configuration; `None` where this user may not ask.
    pub settings: Option<BTreeMap<String, String>>,
    /// The fields of `INFO`; empty where this user may not ask.
    pub info: BTreeMap<String, String>,
    /// Its clock less this host's, in milliseconds, as close as the round trip was short.
    pub clock_ahead_ms: Option<i64>,
    /// Whether a Sentinel watches it; `None` where this user may not ask.
    pub watched_by_sentinel: Option<bool>,
}

impl RedisStore {
    /// Looks at the servers. Reads the names of a few thousand records.
    ///
    /// # Errors
    /// As for any store call. What this user may not ask is left out.
    pub async fn inspect(&self) -> Result<RedisFacts, StoreError> {
        let shared = self.shared();
        let mut facts = RedisFacts {
            prefix: shared.names.prefix().to_owned(),
            are_all_names: true,
            ..RedisFacts::default()
        };
        let mut sizes = Vec::new();
        for node in shared.link.connection().nodes().await? {
            facts.servers.push(shared.server(&node).await?);
            shared.look_at_names(&node, &mut facts, &mut sizes).await?;
        }
        let records = u64::try_from(sizes.len()).unwrap_or(u64::MAX);
        facts.record_bytes = sizes.iter().sum::<u64>().checked_div(records);
        Ok(facts)
    }
}

impl Shared {
    async fn server(&self, node: &Node) -> Result<ServerFacts, StoreError> {
        let mut config = redis::cmd("CONFIG");
        config.arg("GET").arg(SETTINGS);
        let mut clients = redis::cmd("CLIENT");
        clients.arg("LIST");
        let info: Option<String> = self.ask(node, redis::cmd("INFO")).await?;
        let clients: Option<String> = self.ask(node, clients).await?;
        Ok(ServerFacts {
            address: node.to_string(),
            settings: self.ask(node, config).await?,
            info: fields(&info.unwrap_or_default()),
            clock_ahead_ms: self.clock_ahead_ms(node).await?,
            // A Sentinel names its connections so.
            watched_by_sentinel: clients.map(|list| list.contains(" name=sentinel-")),
        })
    }

    async fn clock_ahead_ms(&self, node: &Node) -> Result<Option<i64>, StoreError> {
        let before = wall_ms();
        let time: Option<(i64, i64)> = self.ask(node, redis::cmd("TIME")).await?;
        let middle = i64::midpoint(before, wall_ms());
        Ok(time.map(|(seconds, micros)| seconds * 1000 + micros / 1000 - middle))
    }

    /// An answer, or nothing from a server that does not let this user ask.
    async fn ask<T: FromRedisValue>(&self, node: &Node, cmd: Cmd) -> Result<Option<T>, StoreError> {
        match self.link.connection().command_at(node, cmd).await {
            Ok(reply) => Ok(from_redis_value(reply).ok()),
            Err(failure) if failure.is_unsupported() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn look_at_names(
        &self,
        node: &Node,
        facts: &mut RedisFacts,
        sizes: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let mut cursor = "0".to_owned();
        let (mut names, mut values) = (0, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(self.names.pattern());
            scan.arg("COUNT").arg(1000);
            let found: Option<(String, Vec<Vec<u8>>)> = self.ask(node, scan).await?;
            let Some((next, found)) = found else {
                return Ok(());
            };
            for name in found {
                names += 1;
                let name = String::from_utf8(name).ok();
                let is_record = match name.filter(|name| self.names.parse(name).is_some()) {
                    None => false,
                    Some(_) if values >= MOST_VALUES => true,
                    Some(name) => {
                        values += 1;
                        let is_record = self.is_record(&name).await?;
                        if is_record {
                            let mut usage = redis::cmd("MEMORY");
                            usage.arg("USAGE").arg(&name);
                            sizes.extend(self.ask::<Option<u64>>(node, usage).await?.flatten());
                        }
                        is_record
                    }
                };
                facts.names += 1;
                facts.foreign_names += u64::from(!is_record);
            }
            if next == "0" {
                return Ok(());
            }
            if names >= MOST_NAMES {
                facts.are_all_names = false;
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn is_record(&self, name: &str) -> Result<bool, StoreError> {
        match self.link.read(name).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The lines `name:value` of `INFO`.
fn fields(info: &str) -> BTreeMap<String, String> {
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()))
        .collect()
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
