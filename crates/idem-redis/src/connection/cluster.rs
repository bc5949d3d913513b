//! [`Cluster`]: commands to the node that owns their key, wherever that is by now.

use std::time::Duration;

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr},
};

use super::{io_error, reply};
use crate::error::Failure;

/// How often a command follows a redirection or waits out a refusal before the engine is told.
const ROUNDS: u32 = 6;
/// The pause after the first refusal; doubled with each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// The driver's connection to all nodes.
///
/// Redirections and refusals are followed here: the node that answers them has not applied the
/// command, so it goes out again and its outcome is still known. A command whose connection broke is
/// not sent again, because only the engine can tell what the answer to a second one means. The
/// driver, left to itself, sends again in all of these cases, so connections that this crate opens
/// have that turned off.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) connection: ClusterConnection,
    /// Whether the driver sends again by itself.
    pub(crate) resends: bool,
}

/// Where commands go.
enum Way {
    /// To the primary that owns the slot, as far as the driver knows.
    Owner,
    /// To the node that another one named.
    To(SingleNodeRoutingInfo),
    /// To the node that is taking the slot over, which has to be asked to answer.
    Asking(SingleNodeRoutingInfo),
}

impl Cluster {
    /// Sends commands one after the other to the primary that owns the slot of this name, and gives
    /// their replies. An error in the place of the first one fails.
    pub(crate) async fn send<const N: usize>(
        &self,
        name: &str,
        cmds: [Cmd; N],
    ) -> Result<[Value; N], Failure> {
        let mut way = Way::Owner;
        let mut round = 0;
        loop {
            let error = match self.send_once(name, &way, &cmds).await {
                Ok(replies) => return Ok(replies),
                Err(error) => error,
            };
            round += 1;
            if round == ROUNDS || !is_refusal(&error) {
                return Err(self.failure(error));
            }
            way = match redirection(&error) {
                Some(way) if round < 3 => way,
                // Round and round: the nodes do not agree yet.
                _ => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
                    Way::Owner
                }
            };
        }
    }

    pub(crate) fn failure(&self, error: RedisError) -> Failure {
        match self.resends {
            true => Failure::repeated(error),
            false => Failure::maybe(error),
        }
    }

    async fn send_once<const N: usize>(
        &self,
        name: &str,
        way: &Way,
        cmds: &[Cmd; N],
    ) -> RedisResult<[Value; N]> {
        let (asking, node) = match way {
            Way::Owner => (None, owner(name)),
            Way::To(node) => (None, node.clone()),
            Way::Asking(node) => (Some(redis::cmd("ASKING")), node.clone()),
        };
        let skipped = usize::from(asking.is_some());
        let mut pipeline = Pipeline::with_capacity(skipped + N);
        for cmd in asking.iter().chain(cmds) {
            pipeline.add_command(cmd.clone());
        }
        let mut connection = self.connection.clone();
        let replies = connection
            .route_pipeline(pipeline, 0, skipped + N, node)
            .await?;
        let replies: Vec<_> = replies.into_iter().skip(skipped).collect();
        let mut replies = <[Value; N]>::try_from(replies)
            .map_err(|_| io_error("there are not as many replies as commands"))?;
        if let Some(first) = replies.first_mut() {
            *first = reply(Ok(std::mem::take(first)))?;
        }
        Ok(replies)
    }
}

/// The primary that owns the slot of this name.
fn owner(name: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(name, SlotAddr::Master))
}

/// Whether a node said that it did not apply the command, and that another one or a later time may.
fn is_refusal(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    matches!(
        error.kind(),
        ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                Moved | Ask | TryAgain | ClusterDown | MasterDown | ReadOnly | BusyLoading
            )
    )
}

fn redirection(error: &RedisError) -> Option<Way> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let node = SingleNodeRoutingInfo::ByAddress {
        host: host.to_owned(),
        port: port.parse().ok()?,
    };
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

    fn address(way: Option<Way>) -> Option<(bool, String)> {
        match way? {
            Way::Owner => None,
            Way::To(SingleNodeRoutingInfo::ByAddress { host, port }) => {
                Some((false, format!("{host} {port}")))
            }
            Way::Asking(SingleNodeRoutingInfo::ByAddress { host, port }) => {
                Some((true, format!("{host} {port}")))
            }
            Way::To(_) | Way::Asking(_) => None,
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
