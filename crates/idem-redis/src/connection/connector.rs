//! [`Connector`]: how to reach the server that takes writes.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, RedisResult,
    aio::{AsyncPushSender, MultiplexedConnection},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use super::sentinel::Sentinels;
use crate::RedisConfig;

/// Calls that may queue for the socket; the driver's 50 makes callers of a busy process take turns.
const QUEUE: usize = 1024;
/// After this long without a sign of life on an idle connection the operating system asks for one.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// After this long without an acknowledgement the operating system gives a connection up. A server
/// that is only slow acknowledges; one whose machine is gone does not.
#[cfg(target_os = "linux")]
const GIVE_UP: Duration = Duration::from_secs(5);

/// Opens a connection to the server that takes writes; cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    place: Place,
    config: AsyncConnectionConfig,
}

#[derive(Clone)]
enum Place {
    /// Always the same server.
    Server(Box<Client>),
    /// Whichever server the Sentinels call the primary.
    Sentinels(Arc<Sentinels>),
    #[cfg(feature = "sentinel-client")]
    SentinelClient(Arc<tokio::sync::Mutex<redis::sentinel::SentinelClient>>),
}

impl Connector {
    pub(crate) fn server(info: ConnectionInfo, config: &RedisConfig) -> RedisResult<Self> {
        Ok(Self {
            place: Place::Server(Box::new(Client::open(info)?)),
            config: connection_config(config),
        })
    }

    pub(crate) fn sentinels(sentinels: Sentinels, config: &RedisConfig) -> Self {
        Self {
            place: Place::Sentinels(Arc::new(sentinels)),
            config: connection_config(config),
        }
    }

    #[cfg(feature = "sentinel-client")]
    pub(crate) fn sentinel_client(
        client: redis::sentinel::SentinelClient,
        config: &RedisConfig,
    ) -> Self {
        Self {
            place: Place::SentinelClient(Arc::new(tokio::sync::Mutex::new(client))),
            config: connection_config(config),
        }
    }

    /// Hands on what the server says unasked; its connections have to speak RESP3.
    pub(crate) fn listening(mut self, heard: impl AsyncPushSender) -> Self {
        self.config = self.config.set_push_sender(heard);
        self
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        match &self.place {
            Place::Server(client) => {
                client
                    .get_multiplexed_async_connection_with_config(&self.config)
                    .await
            }
            Place::Sentinels(sentinels) => sentinels.connect(&self.config).await,
            #[cfg(feature = "sentinel-client")]
            Place::SentinelClient(client) => {
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&self.config).await
            }
        }
    }
}

fn connection_config(config: &RedisConfig) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(Some(config.answer_within()))
        .set_pipeline_buffer_size(QUEUE)
}

/// For many small commands of which each is waited for, over a network that may go away unsaid.
pub(crate) fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(GIVE_UP);
    settings
}
