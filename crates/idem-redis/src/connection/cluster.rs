//! [`Cluster`]: commands to the node that owns their key, wherever that is by now.

use std::{sync::Arc, time::Duration};

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
};

use super::{reply, server::Replied, slots::Slots};
use crate::error::Failure;

/// How often a command follows a redirection or waits out a refusal before the engine is told.
const ROUNDS: u32 = 6;
/// The pause after the first refusal; doubled with each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// The nodes of a Cluster.
///
/// Redirections and refusals are followed here: the node that answers them has not applied the
/// command, so it goes out again and its outcome is still known. A command whose connection broke is
/// not sent again, because only the engine can tell what the answer to a second one means.
#[derive(Clone)]
pub(crate) enum Cluster {
    /// Connections that this crate opens, one to each node.
    Own(Arc<Slots>),
    /// The driver's connection to all nodes.
    Driver {
        connection: ClusterConnection,
        /// Whether the driver sends again by itself.
        resends: bool,
    },
}

/// Where commands go.
#[derive(Clone)]
enum Way {
    /// To the primary that owns the slot, as far as is known.
    Owner,
    /// To the node that another one named.
    To(Address),
    /// To the node that is taking the slot over, which has to be asked to answer.
    Asking(Address),
}

/// Where a node listens.
pub(crate) type Address = (String, u16);

impl Cluster {
    /// Sends commands one after the other to the primary that owns the slot of this name, and gives
    /// their replies. An error in the place of the first one fails.
    pub(crate) async fn send(&self, name: &str, cmds: &Pipeline) -> Result<Vec<Replied>, Failure> {
        let mut way = Way::Owner;
        let mut round = 0;
        loop {
            let failure = match self.send_once(name, &way, cmds).await {
                Ok(replies) => return Ok(replies),
                Err(failure) => failure,
            };
            round += 1;
            if round == ROUNDS || !is_refusal(&failure) {
                return Err(failure);
            }
            way = match redirection(&failure.error) {
                Some(way) if round < 3 => way,
                // Round and round: the nodes do not agree yet.
                _ => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
                    Way::Owner
                }
            };
            if let (Self::Own(slots), Way::Owner | Way::To(_)) = (self, &way) {
                slots.refresh().await;
            }
        }
    }

    pub(crate) fn failure(&self, error: RedisError) -> Failure {
        match self {
            Self::Driver { resends: true, .. } => Failure::repeated(error),
            _ => Failure::maybe(error),
        }
    }

    async fn send_once(
        &self,
        name: &str,
        way: &Way,
        cmds: &Pipeline,
    ) -> Result<Vec<Replied>, Failure> {
        let asking = match way {
            Way::Asking(_) => Some(redis::cmd("ASKING")),
            Way::Owner | Way::To(_) => None,
        };
        let skipped = usize::from(asking.is_some());
        let n = skipped + cmds.len();
        let mut pipeline = Pipeline::with_capacity(n);
        for cmd in asking.iter().chain(cmds.cmd_iter()) {
            pipeline.add_command(cmd.clone());
        }
        let replies = match self {
            Self::Own(slots) => {
                let bytes = cmds.cmd_iter().map(length).sum();
                let server = match way {
                    Way::Owner => slots.owner(name).map(|node| node.server.clone()),
                    Way::To(address) | Way::Asking(address) => {
                        Some(slots.node(address)?.server.clone())
                    }
                };
                let server = server.ok_or_else(no_owner)?;
                server.commands(&pipeline, bytes).await?
            }
            Self::Driver { connection, .. } => {
                let node = match way {
                    Way::Owner => {
                        SingleNodeRoutingInfo::SpecificNode(Route::with_key(name, SlotAddr::Master))
                    }
                    Way::To((host, port)) | Way::Asking((host, port)) => {
                        let (host, port) = (host.clone(), *port);
                        SingleNodeRoutingInfo::ByAddress { host, port }
                    }
                };
                let mut connection = connection.clone();
                let replies = connection.route_pipeline(pipeline, 0, n, node).await;
                let replies = replies.map_err(|error| self.failure(error))?.into_iter();
                let replied = |value| reply(Ok(value)).map_err(|error| self.failure(error));
                replies.map(replied).collect()
            }
        };
        let replies: Vec<_> = replies.into_iter().skip(skipped).collect();
        match replies.first() {
            Some(Err(failure)) => Err(failure.clone()),
            Some(Ok(_)) if replies.len() == cmds.len() => Ok(replies),
            _ => Err(Failure::missing_reply()),
        }
    }
}

fn length(cmd: &Cmd) -> usize {
    cmd.get_packed_command().len()
}

fn no_owner() -> Failure {
    let error = (
        ErrorKind::ClusterConnectionNotFound,
        "no node owns the slot",
    )
        .into();
    Failure::not_sent(error)
}

/// Whether a node said that it did not apply the command, or could not be reached, and another one or
/// a later time may do.
pub(crate) fn is_refusal(failure: &Failure) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    failure.is_unsent() && failure.kind().is_transient()
        || matches!(
            failure.error.kind(),
            ErrorKind::ClusterConnectionNotFound
                | ErrorKind::Server(
                    Moved | Ask | TryAgain | ClusterDown | MasterDown | ReadOnly | BusyLoading
                )
        )
}

fn redirection(error: &RedisError) -> Option<Way> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let node = (host.to_owned(), port.parse().ok()?);
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Ask) => Some(Way::Asking(node)),
        _ => Some(Way::To(node)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> RedisError {
        reply(redis::parse_redis_value(format!("-{line}\r\n").as_bytes())).unwrap_err()
    }

    fn is_refusal(error: &RedisError) -> bool {
        super::is_refusal(&Failure::maybe(error.clone()))
    }

    fn address(way: Option<Way>) -> Option<(bool, String)> {
        match way? {
            Way::Owner => None,
            Way::To((host, port)) => Some((false, format!("{host} {port}"))),
            Way::Asking((host, port)) => Some((true, format!("{host} {port}"))),
        }
    }

    #[test]
    fn a_redirection_names_a_node() {
        let moved = redirection(&error("MOVED 1 10.0.0.1:7000"));
        assert_eq!(address(moved), Some((false, "10.0.0.1 7000".to_owned())));
        let ask = redirection(&error("ASK 1 ::1:7000"));
        assert_eq!(address(ask), Some((true, "::1 7000".to_owned())));
        assert_eq!(address(redirection(&error("TRYAGAIN"))), None);
    }

    #[test]
    fn only_what_was_not_applied_is_sent_again() {
        for line in [
            "MOVED 1 a:1",
            "TRYAGAIN",
            "CLUSTERDOWN",
            "READONLY",
            "LOADING",
        ] {
            assert!(is_refusal(&error(line)), "{line}");
        }
        for line in ["OOM", "ERR syntax error", "NOSCRIPT", "UNBLOCKED"] {
            assert!(!is_refusal(&error(line)), "{line}");
        }
        let cut = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(!is_refusal(&cut.into()));
    }
}
