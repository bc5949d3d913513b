//! What a server is asked once, before the store is used.

use std::collections::HashMap;

use idem_core::{StoreError, StoreErrorKind};
use redis::{Value, from_redis_value};

use crate::{
    Durability, RedisConfig,
    connection::{Connection, Hello, Node},
    error::Failure,
    native::DeleteCommand,
};

/// The first version with `SET … NX GET`.
const OLDEST: (u32, u32) = (7, 0);
/// The first version with `WAITAOF`.
const OLDEST_WITH_WAITAOF: (u32, u32) = (7, 2);

/// Fails on a server that can never work: too old, or one that evicts. Says which of the optional
/// commands all servers have.
pub(crate) async fn check(
    connection: &Connection,
    config: &RedisConfig,
) -> Result<Option<DeleteCommand>, StoreError> {
    let mut deletes = DeleteCommand::ALL.to_vec();
    for node in connection.nodes().await? {
        check_version(connection, &node, config).await?;
        check_eviction(connection, &node, config).await?;
        check_fsync(connection, &node, config).await?;
        let known = known_deletes(connection, &node).await?;
        deletes.retain(|command| known.contains(command));
    }
    Ok(deletes.first().copied())
}

async fn check_version(
    connection: &Connection,
    node: &Node,
    config: &RedisConfig,
) -> Result<(), StoreError> {
    let reply = connection.command_at(node, redis::cmd("HELLO")).await;
    let Some(hello) = told(reply)?.and_then(Hello::parse) else {
        tracing::warn!(
            node = node.name(),
            "the server does not tell its version; it has to be Redis 7.0 or Valkey"
        );
        return Ok(());
    };
    match too_old(&hello, config.durability) {
        Some(error) => Err(error),
        None => Ok(()),
    }
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

async fn check_eviction(
    connection: &Connection,
    node: &Node,
    config: &RedisConfig,
) -> Result<(), StoreError> {
    if config.eviction_allowed {
        return Ok(());
    }
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("maxmemory-policy");
    let reply = told(connection.command_at(node, get).await)?;
    let policy = reply
        .and_then(|reply| from_redis_value::<HashMap<String, String>>(reply).ok())
        .and_then(|mut settings| settings.remove("maxmemory-policy"));
    match policy.as_deref() {
        Some("noeviction") => Ok(()),
        Some(policy) => Err(StoreError::config(format!(
            "the server evicts keys when it is full (maxmemory-policy {policy}), and an evicted \
             record lets a request run twice; set `maxmemory-policy noeviction`, or accept it with \
             `RedisConfig::allow_eviction`"
        ))),
        None => {
            tracing::warn!(
                node = node.name(),
                "the server does not tell its maxmemory-policy; it has to be noeviction"
            );
            Ok(())
        }
    }
}

/// A server without an append-only file refuses `WAITAOF`.
async fn check_fsync(
    connection: &Connection,
    node: &Node,
    config: &RedisConfig,
) -> Result<(), StoreError> {
    if !matches!(config.durability, Durability::Fsynced { .. }) {
        return Ok(());
    }
    let mut wait = redis::cmd("WAITAOF");
    wait.arg(1).arg(0).arg(1);
    match connection.command_at(node, wait).await {
        Err(failure) if failure.kind() == StoreErrorKind::Config => Err(StoreError::config(
            "writes cannot be waited for on the disk; set `appendonly yes` on the server",
        )
        .with_source(failure.error)),
        Err(failure) => Err(failure.into()),
        Ok(_) => Ok(()),
    }
}

/// A command that the server does not know it describes as nothing.
async fn known_deletes(
    connection: &Connection,
    node: &Node,
) -> Result<Vec<DeleteCommand>, StoreError> {
    let mut info = redis::cmd("COMMAND");
    info.arg("INFO");
    for command in DeleteCommand::ALL {
        info.arg(command.name());
    }
    let descriptions = match told(connection.command_at(node, info).await)? {
        Some(Value::Array(descriptions)) => descriptions,
        _ => Vec::new(),
    };
    let commands = DeleteCommand::ALL.into_iter().zip(descriptions);
    Ok(commands
        .filter_map(|(command, description)| (description != Value::Nil).then_some(command))
        .collect())
}

/// The reply, or nothing from a server that does not let this user ask.
fn told(reply: Result<Value, Failure>) -> Result<Option<Value>, StoreError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(failure) if failure.is_unsupported() => Ok(None),
        Err(failure) => Err(failure.into()),
    }
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
