//! [`Connection`]: anything that commands can go through.

mod connector;
mod given;
mod hello;
mod kept;
mod nodes;
mod sentinel;
mod url;

use std::{any::Any, fmt, sync::Arc};

use redis::{
    Cmd, Pipeline, RedisError, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};

pub(crate) use hello::Hello;
pub(crate) use nodes::Node;
pub(crate) use url::Target;

use crate::error::Failure;
use given::Given;
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
enum Kind {
    Given(Arc<dyn Given>),
    Cluster(ClusterConnection),
    Kept(Arc<Kept>),
}

impl Connection {
    /// Any connection of the driver to one server: a `MultiplexedConnection`, which does not come
    /// back once it broke, a `ConnectionManager`, which does, or a connection of your own.
    ///
    /// A `ClusterConnection` is recognised as such.
    pub fn new<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        match (&connection as &dyn Any).downcast_ref::<ClusterConnection>() {
            Some(cluster) => Self(Kind::Cluster(cluster.clone())),
            None => Self(Kind::Given(Arc::new(connection))),
        }
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

    pub(crate) fn kept(connector: connector::Connector) -> Self {
        Self(Kind::Kept(Arc::new(Kept::new(connector))))
    }

    /// Sends a command to the server that takes writes for this name, and never to a replica: a
    /// reader must not see an older record than the last writer left.
    pub(crate) async fn command(&self, name: &str, cmd: Cmd) -> Result<Value, Failure> {
        match &self.0 {
            Kind::Given(given) => answered(given.handle().req_packed_command(&cmd).await),
            Kind::Kept(kept) => {
                let mut live = kept.live().await?;
                let result = live.connection.send_packed_command(&cmd).await;
                reply(result).map_err(|error| kept.failed(&live, error))
            }
            Kind::Cluster(cluster) => {
                let routing = RoutingInfo::SingleNode(owner(name));
                let result = cluster.clone().route_command(cmd, routing).await;
                reply(result).map_err(Failure::repeated)
            }
        }
    }

    /// Sends two commands one after the other over one connection. An error that the server answers
    /// to one of them stands in the place of its reply.
    pub(crate) async fn pair(
        &self,
        name: &str,
        first: Cmd,
        second: Cmd,
    ) -> Result<(Value, Value), Failure> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(first).add_command(second);
        let replies = match &self.0 {
            Kind::Given(given) => given
                .handle()
                .req_packed_commands(&pipeline, 0, 2)
                .await
                .map_err(Failure::maybe)?,
            Kind::Kept(kept) => {
                let mut live = kept.live().await?;
                let result = live.connection.send_packed_commands(&pipeline, 0, 2).await;
                result.map_err(|error| kept.failed(&live, error))?
            }
            Kind::Cluster(cluster) => cluster
                .clone()
                .route_pipeline(pipeline, 0, 2, owner(name))
                .await
                .map_err(Failure::repeated)?,
        };
        <[Value; 2]>::try_from(replies)
            .map(|[first, second]| (first, second))
            .map_err(|_| Failure::maybe(io_error("two commands had not two replies")))
    }
}

impl Connection {
    /// An error that stood in the place of a reply, as a failure.
    pub(crate) fn refused(&self, error: RedisError) -> Failure {
        match &self.0 {
            Kind::Cluster(_) => Failure::repeated(error),
            Kind::Given(_) | Kind::Kept(_) => Failure::maybe(error),
        }
    }
}

impl From<MultiplexedConnection> for Connection {
    fn from(connection: MultiplexedConnection) -> Self {
        Self::new(connection)
    }
}

impl From<ClusterConnection> for Connection {
    fn from(connection: ClusterConnection) -> Self {
        Self(Kind::Cluster(connection))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Given(_) => "Connection(given)",
            Kind::Cluster(_) => "Connection(cluster)",
            Kind::Kept(_) => "Connection(kept)",
        })
    }
}

/// The primary that owns the slot of this name.
fn owner(name: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(name, SlotAddr::Master))
}

fn answered(result: Result<Value, RedisError>) -> Result<Value, Failure> {
    reply(result).map_err(Failure::maybe)
}

/// An error that the server answers is an error.
fn reply(result: Result<Value, RedisError>) -> Result<Value, RedisError> {
    result.and_then(Value::extract_error)
}

fn io_error(what: &'static str) -> RedisError {
    std::io::Error::other(what).into()
}
