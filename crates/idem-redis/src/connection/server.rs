//! [`Server`]: a connection to the one server that takes writes.

use std::sync::Arc;

use redis::{Cmd, Pipeline, RedisError, RedisResult, Value, aio::MultiplexedConnection};

use super::{given::Given, io_error, kept::Kept, reply};
use crate::error::Failure;

/// One server, in contrast to the many of a Cluster.
#[derive(Clone)]
pub(crate) enum Server {
    Multiplexed(MultiplexedConnection),
    Given(Arc<dyn Given>),
    Kept(Arc<Kept>),
}

impl Server {
    pub(crate) async fn command(&self, cmd: &Cmd) -> Result<Value, Failure> {
        match self {
            Self::Multiplexed(connection) => {
                let result = connection.clone().send_packed_command(cmd).await;
                reply(result).map_err(Failure::maybe)
            }
            Self::Given(given) => {
                let result = given.handle().req_packed_command(cmd).await;
                reply(result).map_err(Failure::maybe)
            }
            Self::Kept(kept) => {
                let mut live = kept.live().await?;
                let result = live.connection.send_packed_command(cmd).await;
                let replied = reply(result).map_err(|error| kept.failed(&live, error));
                kept.hear(&live, &replied);
                replied
            }
        }
    }

    /// Sends commands one after the other over one connection. Each has a reply of its own, or an
    /// error; a failure as a whole means that of any of them nothing is known.
    pub(crate) async fn commands(&self, cmds: &Pipeline) -> Result<Vec<Replied>, Failure> {
        let n = cmds.len();
        match self {
            Self::Multiplexed(connection) => {
                let result = connection.clone().send_packed_commands(cmds, 0, n).await;
                each(result, n, Failure::maybe)
            }
            Self::Given(given) => {
                let result = given.handle().req_packed_commands(cmds, 0, n).await;
                each(result, n, Failure::maybe)
            }
            Self::Kept(kept) => {
                let mut live = kept.live().await?;
                let result = live.connection.send_packed_commands(cmds, 0, n).await;
                let replies = each(result, n, |error| kept.failed(&live, error))?;
                replies.iter().for_each(|replied| kept.hear(&live, replied));
                Ok(replies)
            }
        }
    }
}

/// What became of one command of several.
pub(crate) type Replied = Result<Value, Failure>;

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
