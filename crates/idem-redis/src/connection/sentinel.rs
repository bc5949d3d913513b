//! [`Sentinels`]: finding the primary that they agree on.
//!
//! The driver's own Sentinel client asks a server for its role by `ROLE` or `INFO`, which a user
//! without dangerous commands may not; this one reads it off `HELLO`. And it asks all Sentinels at
//! once, so that one that hangs holds nobody up.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, RedisResult,
    aio::MultiplexedConnection,
};

use super::{Hello, connector::at};

/// Where the Sentinels are, and whom to ask them for.
#[derive(Debug, Clone)]
pub(crate) struct Sentinels {
    /// Where they listen.
    pub(crate) sentinels: Vec<ConnectionInfo>,
    /// What they call the primary.
    pub(crate) primary: String,
    /// User, password, database and encryption for the primary; its address is replaced.
    pub(crate) server: ConnectionInfo,
    /// How long a Sentinel may take.
    pub(crate) patience: Duration,
}

impl Sentinels {
    /// Connects to the primary that the first Sentinel with a good answer names.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let mut answers: FuturesUnordered<_> = self
            .sentinels
            .iter()
            .map(|sentinel| self.connect_through(sentinel, config))
            .collect();
        let mut first_error = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| (ErrorKind::EmptySentinelList, "no Sentinel").into()))
    }

    async fn connect_through(
        &self,
        sentinel: &ConnectionInfo,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let (host, port) = self.ask(sentinel).await?;
        let server = at(&self.server, host, port);
        let mut connection = Client::open(server)?
            .get_multiplexed_async_connection_with_config(config)
            .await?;
        let hello = connection.send_packed_command(&redis::cmd("HELLO")).await?;
        match hello.extract_error().map(Hello::parse) {
            // A Sentinel that has not heard yet names the old primary.
            Ok(Some(Hello {
                is_primary: false, ..
            })) => Err(not_found("the server that a Sentinel names is a replica")),
            _ => Ok(connection),
        }
    }

    async fn ask(&self, sentinel: &ConnectionInfo) -> RedisResult<(String, u16)> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(Some(self.patience));
        let mut connection = Client::open(sentinel.clone())?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let primary: Option<(String, u16)> = redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.primary)
            .query_async(&mut connection)
            .await?;
        primary.ok_or_else(|| not_found("a Sentinel knows no primary of this name"))
    }
}

fn not_found(what: &'static str) -> RedisError {
    (ErrorKind::MasterNameNotFoundBySentinel, what).into()
}
