//! [`Connection`]: anything that commands can go through.

mod cluster;
mod connector;
mod given;
mod hello;
mod kept;
mod nodes;
mod sentinel;
mod server;
mod slots;
mod url;

use std::{any::Any, fmt, sync::Arc};

use redis::{
    Cmd, Pipeline, RedisError, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
};

pub(crate) use cluster::{Cluster, is_refusal};
pub(crate) use hello::Hello;
pub(crate) use nodes::Node;
pub(crate) use server::{Replied, Server};
pub(crate) use slots::{Member, Slots};
pub(crate) use url::Target;

use crate::error::Failure;
use kept::Kept;

/// What a [`RedisStore`](crate::RedisStore) sends its commands through. Clones share it.
///
/// An application that has a connection already can share it with the store, because the store needs
/// no connection of its own and blocks none, except while a [`Durability`](crate::Durability) other
/// than `Acknowledged` waits for replicas or disks. Its response timeout has to be longer than that
/// wait.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use idem_redis::{RedisConfig, RedisStore, redis};
///
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let connection = client.get_multiplexed_async_connection().await?;
/// let store = RedisStore::new(connection, RedisConfig::default()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Connection(Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Server(Server),
    Cluster(Cluster),
}

impl Connection {
    /// Any connection of the driver to one server: a `MultiplexedConnection`, which does not come
    /// back once it broke, a `ConnectionManager`, which does, or a connection of your own.
    ///
    /// A `ClusterConnection` is recognised as such. Each call goes over it by itself; only a store that
    /// connects by a URL sends those to one node together. Build its client with `retries(0)`: redirections
    /// are followed here, and what the driver sends again by itself after a broken connection makes
    /// more outcomes unknown than have to be, and may call a release superseded that was not.
    pub fn new<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let any: &dyn Any = &connection;
        if let Some(cluster) = any.downcast_ref::<ClusterConnection>() {
            return Self::from(cluster.clone());
        }
        if let Some(multiplexed) = any.downcast_ref::<MultiplexedConnection>() {
            return Self::from(multiplexed.clone());
        }
        Self(Kind::Server(Server::Given(Arc::new(connection))))
    }

    /// The connections that a Sentinel client opens: the first one with the first command, another
    /// one whenever it breaks or its server is no primary any more.
    #[cfg(feature = "sentinel-client")]
    #[must_use]
    pub fn sentinel(
        client: ::redis::sentinel::SentinelClient,
        config: &crate::RedisConfig,
    ) -> Self {
        Self::kept(connector::Connector::sentinel_client(client, config))
    }

    /// A Cluster over a connection of the driver that sends nothing again by itself.
    pub(crate) fn driver(connection: ClusterConnection) -> Self {
        let resends = false;
        Self(Kind::Cluster(Cluster::Driver {
            connection,
            resends,
        }))
    }

    /// A Cluster over connections of this crate's.
    pub(crate) fn slots(slots: Slots) -> Self {
        Self(Kind::Cluster(Cluster::Own(Arc::new(slots))))
    }

    pub(crate) fn kept(connector: connector::Connector) -> Self {
        Self(Kind::Server(Server::Kept(Arc::new(Kept::new(connector)))))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0
    }

    /// Sends two commands one after the other over one connection. Fails if the first one does; an
    /// error of the second one stands in the place of its reply.
    pub(crate) async fn pair(
        &self,
        name: &str,
        first: Cmd,
        second: Cmd,
    ) -> Result<(Value, Replied), Failure> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(first).add_command(second);
        let replies = match &self.0 {
            Kind::Server(server) => server.commands(&pipeline, 0).await?,
            Kind::Cluster(cluster) => cluster.send(name, &pipeline).await?,
        };
        let mut replies = replies.into_iter();
        match (replies.next(), replies.next()) {
            (Some(first), Some(second)) => Ok((first?, second)),
            _ => Err(Failure::missing_reply()),
        }
    }
}

impl From<MultiplexedConnection> for Connection {
    fn from(connection: MultiplexedConnection) -> Self {
        Self(Kind::Server(Server::Multiplexed(connection)))
    }
}

impl From<ClusterConnection> for Connection {
    fn from(connection: ClusterConnection) -> Self {
        let resends = true;
        Self(Kind::Cluster(Cluster::Driver {
            connection,
            resends,
        }))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Server(Server::Kept(_)) => "Connection(kept)",
            Kind::Server(_) => "Connection(given)",
            Kind::Cluster(_) => "Connection(cluster)",
        })
    }
}

/// An error that the server answers is an error; one among a script's several answers is not.
fn reply(result: Result<Value, RedisError>) -> Result<Value, RedisError> {
    match result? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

pub(crate) fn io_error(what: &'static str) -> RedisError {
    std::io::Error::other(what).into()
}
