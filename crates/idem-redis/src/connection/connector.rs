//! [`Connector`]: how to reach the server that takes writes.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisResult,
    aio::{AsyncPushSender, MultiplexedConnection},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use super::{reply, sentinel::Sentinels};
use crate::{RedisConfig, check, error::Failure, facts::Facts};

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
    driver: AsyncConnectionConfig,
    config: RedisConfig,
    facts: Arc<Facts>,
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
            driver: connection_config(config),
            config: config.clone(),
            facts: Arc::default(),
        })
    }

    pub(crate) fn sentinels(sentinels: Sentinels, config: &RedisConfig) -> Self {
        Self {
            place: Place::Sentinels(Arc::new(sentinels)),
            driver: connection_config(config),
            config: config.clone(),
            facts: Arc::default(),
        }
    }

    #[cfg(feature = "sentinel-client")]
    pub(crate) fn sentinel_client(
        client: redis::sentinel::SentinelClient,
        config: &RedisConfig,
    ) -> Self {
        Self {
            place: Place::SentinelClient(Arc::new(tokio::sync::Mutex::new(client))),
            driver: connection_config(config),
            config: config.clone(),
            facts: Arc::default(),
        }
    }

    /// Hands on what the server says unasked; its connections have to speak RESP3.
    pub(crate) fn listening(mut self, heard: impl AsyncPushSender) -> Self {
        self.driver = self.driver.set_push_sender(heard);
        // Whoever opened the store was told already.
        self.facts.first_warning();
        self
    }

    /// What its servers say of themselves is written down here.
    pub(crate) fn telling(mut self, facts: &Arc<Facts>) -> Self {
        self.facts = Arc::clone(facts);
        self
    }

    pub(crate) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        self.config.answer_within()
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.config.connect_timeout
    }

    /// How long an attempt may take.
    pub(crate) fn patience(&self) -> Duration {
        let asking = self.config.response_timeout;
        let finding = match &self.place {
            Place::Server(_) => Duration::ZERO,
            Place::Sentinels(sentinels) => 2 * sentinels.patience,
            #[cfg(feature = "sentinel-client")]
            Place::SentinelClient(_) => self.config.connect_timeout,
        };
        let connecting = finding.saturating_add(self.config.connect_timeout);
        connecting.saturating_add(asking)
    }

    /// Opens a connection to a server that may be used: not too old, and one that does not evict.
    pub(crate) async fn open(&self) -> Result<MultiplexedConnection, Failure> {
        let mut connection = self.connect().await.map_err(Failure::not_sent)?;
        let questions = check::questions(&self.config);
        let replies = connection
            .send_packed_commands(&questions, 0, questions.len())
            .await
            .map_err(Failure::not_sent)?;
        let replies = replies.into_iter();
        let replies = replies.map(|value| reply(Ok(value)).map_err(Failure::not_sent));
        check::read(replies.collect(), &self.config, &self.facts)?;
        Ok(connection)
    }

    /// Opens a connection.
    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        match &self.place {
            Place::Server(client) => {
                client
                    .get_multiplexed_async_connection_with_config(&self.driver)
                    .await
            }
            Place::Sentinels(sentinels) => sentinels.connect(&self.driver).await,
            #[cfg(feature = "sentinel-client")]
            Place::SentinelClient(client) => {
                let mut client = client.lock().await;
                client.get_async_connection_with_config(&self.driver).await
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

/// The same user, database and encryption at another address.
pub(crate) fn at(info: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let address = match info.addr() {
        ConnectionAddr::TcpTls { insecure, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: None,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}
