//! [`Server`]: a connection to the one server that takes writes.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Pipeline, RedisError, RedisResult, Value, aio::MultiplexedConnection};

use super::{given::Given, io_error, kept::Kept, reply};
use crate::{error::Failure, facts::Facts};

/// The slowest network that large records are sent over: a response may take longer by what so many
/// bytes a second take.
const SLOWEST: f64 = (1 << 20) as f64;

/// One server, in contrast to the many of a Cluster.
#[derive(Clone)]
pub(crate) enum Server {
    Multiplexed(MultiplexedConnection),
    Given(Arc<dyn Given>),
    Kept(Arc<Kept>),
}

/// What became of one command of several.
pub(crate) type Replied = Result<Value, Failure>;

impl Server {
    /// What the server says of itself at every new connection; nothing of a connection that somebody
    /// else opens.
    pub(crate) fn facts(&self) -> Option<&Arc<Facts>> {
        match self {
            Self::Kept(kept) => Some(kept.facts()),
            Self::Multiplexed(_) | Self::Given(_) => None,
        }
    }

    /// The same server over another connection, opened with its first command; `None` where somebody
    /// else opens the connection.
    pub(crate) fn beside(&self) -> Option<Self> {
        match self {
            Self::Kept(kept) => Some(Self::Kept(Arc::new(kept.beside()))),
            Self::Multiplexed(_) | Self::Given(_) => None,
        }
    }

    pub(crate) async fn command(&self, cmd: Cmd) -> Replied {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(cmd);
        let replies = self.commands(&pipeline, 0).await?;
        let only = replies.into_iter().next();
        only.unwrap_or_else(|| Err(Failure::missing_reply()))
    }

    /// Sends commands one after the other over one connection. Each has a reply of its own, or an
    /// error; a failure as a whole means that of any of them nothing is known. `bytes` is about what
    /// they and their replies take, for which the response may take longer.
    pub(crate) async fn commands(
        &self,
        cmds: &Pipeline,
        bytes: usize,
    ) -> Result<Vec<Replied>, Failure> {
        match self {
            Self::Multiplexed(connection) => {
                let result = send(&mut connection.clone(), cmds).await;
                each(result, cmds.len(), Failure::maybe)
            }
            Self::Given(given) => {
                let n = cmds.len();
                let result = given.handle().req_packed_commands(cmds, 0, n).await;
                each(result, n, Failure::maybe)
            }
            Self::Kept(kept) => {
                let mut live = kept.live().await?;
                let longer = Duration::from_secs_f64(bytes as f64 / SLOWEST);
                let timeout = kept.response_timeout().saturating_add(longer);
                live.connection.set_response_timeout(timeout);
                let result = send(&mut live.connection, cmds).await;
                let replies = each(result, cmds.len(), |error| kept.failed(&live, error))?;
                replies.iter().for_each(|replied| kept.hear(&live, replied));
                Ok(replies)
            }
        }
    }
}

async fn send(connection: &mut MultiplexedConnection, cmds: &Pipeline) -> RedisResult<Vec<Value>> {
    let mut each = cmds.cmd_iter();
    if let (Some(only), None) = (each.next(), each.next()) {
        let reply = connection.send_packed_command(only).await?;
        return Ok(vec![reply]);
    }
    connection.send_packed_commands(cmds, 0, cmds.len()).await
}

fn each(
    replies: RedisResult<Vec<Value>>,
    n: usize,
    failure: impl Fn(RedisError) -> Failure,
) -> Result<Vec<Replied>, Failure> {
    let replies = replies.map_err(&failure)?;
    if replies.len() != n {
        return Err(failure(io_error(
            "there are not as many replies as commands",
        )));
    }
    let each = replies.into_iter();
    Ok(each
        .map(|value| reply(Ok(value)).map_err(&failure))
        .collect())
}
