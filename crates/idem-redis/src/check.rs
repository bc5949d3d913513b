//! What a server is asked at every new connection, and what its answers mean.

use std::{collections::HashMap, sync::Arc};

use idem_core::store::{StoreError, StoreErrorKind};
use redis::{FromRedisValue, Pipeline, Value, from_redis_value};

use crate::{
    Durability, RedisConfig,
    connection::{Cluster, Connection, Hello, Kind, Replied},
    error::Failure,
    facts::Facts,
};

/// The first version with `SET … NX GET`.
const OLDEST: (u32, u32) = (7, 0);
/// The first version with `WAITAOF`.
const OLDEST_WITH_WAITAOF: (u32, u32) = (7, 2);

/// Looks at all servers before the store is used.
pub(crate) async fn check(
    connection: &Connection,
    config: &RedisConfig,
) -> Result<Arc<Facts>, StoreError> {
    let known = match connection.kind() {
        Kind::Server(server) => server.facts(),
        Kind::Cluster(Cluster::Own(slots)) => Some(&slots.facts),
        Kind::Cluster(Cluster::Driver { .. }) => None,
    };
    if let Some(facts) = known {
        // Each connection asks when it is opened, and is opened by this.
        for node in connection.nodes().await? {
            connection.command_at(&node, redis::cmd("PING")).await?;
        }
        return Ok(Arc::clone(facts));
    }
    let facts = Arc::default();
    for node in connection.nodes().await? {
        let mut replies = Vec::new();
        for question in questions(config).cmd_iter() {
            replies.push(connection.command_at(&node, question.clone()).await);
        }
        read(replies, config, &facts)?;
    }
    Ok(facts)
}

/// What a server is asked.
pub(crate) fn questions(config: &RedisConfig) -> Pipeline {
    let mut questions = Pipeline::new();
    questions.cmd("HELLO");
    questions.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
    questions.arg(BULK_LIMIT).arg(BUFFER_LIMIT);
    if matches!(config.durability, Durability::Fsynced { .. }) {
        questions.cmd("WAITAOF").arg(1).arg(0).arg(1);
    }
    questions
}

const BULK_LIMIT: &str = "proto-max-bulk-len";
const BUFFER_LIMIT: &str = "client-query-buffer-limit";

/// Fails on a server that can never work: too old, or one that evicts. Notes down the rest.
pub(crate) fn read(
    replies: Vec<Replied>,
    config: &RedisConfig,
    facts: &Facts,
) -> Result<(), Failure> {
    let mut replies = replies.into_iter();
    let mut next = || {
        told(
            replies
                .next()
                .unwrap_or_else(|| Err(Failure::missing_reply())),
        )
    };
    let hello = next()?.and_then(Hello::parse);
    if let Some(error) = hello
        .as_ref()
        .and_then(|hello| too_old(hello, config.durability))
    {
        return Err(Failure::verdict(error));
    }
    let settings: HashMap<String, String> = next()?.and_then(parsed).unwrap_or_default();
    let policy = settings.get("maxmemory-policy").map(String::as_str);
    if !config.eviction_allowed {
        check_eviction(policy)?;
    }
    let largest = |name| settings.get(name)?.parse::<usize>().ok();
    if let Some(bytes) = largest(BULK_LIMIT)
        .into_iter()
        .chain(largest(BUFFER_LIMIT))
        .min()
    {
        facts.takes_at_most(bytes);
    }
    // A Cluster's node takes several keys only where they share a slot.
    facts.combine(!hello.as_ref().is_some_and(|hello| hello.is_cluster));
    if matches!(config.durability, Durability::Fsynced { .. }) {
        check_fsync(next().map(drop))?;
    }
    let unknown_policy = policy.is_none() && !config.eviction_allowed;
    if (hello.is_none() || unknown_policy) && facts.first_warning() {
        tracing::warn!(
            "the server does not tell its version, or its maxmemory-policy: it has to be Redis 7.0 or \
             Valkey, with `maxmemory-policy noeviction`"
        );
    }
    Ok(())
}

fn too_old(hello: &Hello, durability: Durability) -> Option<StoreError> {
    let needed = match durability {
        Durability::Fsynced { .. } => OLDEST_WITH_WAITAOF,
        Durability::Acknowledged | Durability::Replicated { .. } => OLDEST,
    };
    let (major, minor) = hello.version;
    (hello.version < needed).then(|| {
        StoreError::config(format!(
            "{} {major}.{minor} is too old; it has to be {}.{} or newer",
            hello.server, needed.0, needed.1
        ))
    })
}

fn check_eviction(policy: Option<&str>) -> Result<(), Failure> {
    match policy {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(Failure::verdict(StoreError::config(format!(
            "the server evicts keys when it is full (maxmemory-policy {policy}), and an evicted \
             record lets a request run twice; set `maxmemory-policy noeviction`, or accept it with \
             `RedisConfig::allow_eviction`"
        )))),
    }
}

/// A server without an append-only file refuses `WAITAOF`.
fn check_fsync(waited: Result<(), Failure>) -> Result<(), Failure> {
    match waited {
        Err(failure) if failure.kind() == StoreErrorKind::Config => {
            let advice =
                "writes cannot be waited for on the disk; set `appendonly yes` on the server";
            Err(Failure::verdict(
                StoreError::config(advice).with_source(failure.error),
            ))
        }
        waited => waited,
    }
}

/// The reply, or nothing from a server that does not let this user ask.
fn told(reply: Replied) -> Result<Option<Value>, Failure> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(failure) if failure.is_unsupported() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn parsed<T: FromRedisValue>(reply: Value) -> Option<T> {
    from_redis_value(reply).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FSYNCED: Durability = Durability::Fsynced {
        replicas: 0,
        timeout: Duration::from_secs(1),
    };

    #[test]
    fn a_server_that_lacks_a_command_is_too_old() {
        let server = |version| Hello {
            server: "redis".to_owned(),
            version,
            is_primary: true,
            is_cluster: false,
        };
        for (version, durability, too_old_for_it) in [
            ((6, 2), Durability::Acknowledged, true),
            ((7, 0), Durability::Acknowledged, false),
            ((7, 0), FSYNCED, true),
            ((7, 2), FSYNCED, false),
            ((8, 0), FSYNCED, false),
            ((10, 0), FSYNCED, false),
        ] {
            let error = too_old(&server(version), durability);
            assert_eq!(
                error.is_some(),
                too_old_for_it,
                "{version:?} {durability:?}"
            );
            if let Some(error) = error {
                assert_eq!(error.kind(), StoreErrorKind::Config);
                assert!(error.to_string().contains("too old"));
            }
        }
    }
}
