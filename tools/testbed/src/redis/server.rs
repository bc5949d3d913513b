//! One server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{RedisBinary, RedisBuilder, Reply, RespClient};
use crate::{Server, TestbedError, ports::Port, process::Process, server::is_a_server};

/// How long a probe waits for an answer; a server that starts up answers at once, if at all.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// One running server: alone, or a node of a larger deployment. Clones are handles of the same
/// server, which goes with the last of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{AppendFsync, Redis, skip_or_fail};
///
/// let started = Redis::builder().append_only(AppendFsync::Always).start().await;
/// let Some(redis) = skip_or_fail(started) else {
///     return Ok(());
/// };
/// redis.command(&["SET", "colour", "blue"])?;
/// redis.kill();
/// redis.restart().await?;
/// assert_eq!(redis.command(&["GET", "colour"])?.text().as_deref(), Some("blue"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Redis {
    server: Server,
    encrypted_port: Option<Arc<Port>>,
    binary: RedisBinary,
}

is_a_server!(Redis);

impl Redis {
    pub(super) fn new(
        process: Process,
        port: Port,
        encrypted_port: Option<Port>,
        binary: RedisBinary,
    ) -> Self {
        Self {
            server: Server::new(process, port, probe),
            encrypted_port: encrypted_port.map(Arc::new),
            binary,
        }
    }

    /// What to start it with.
    #[must_use]
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Starts a server that keeps nothing on disk.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::start`].
    pub async fn start() -> Result<Self, TestbedError> {
        Self::builder().start().await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`RedisBuilder::start`].
    pub fn start_blocking() -> Result<Self, TestbedError> {
        Self::builder().start_blocking()
    }

    /// `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// `rediss://127.0.0.1:PORT/`; none unless [`RedisBuilder::encrypted`] said so.
    #[must_use]
    pub fn encrypted_url(&self) -> Option<String> {
        let port = self.encrypted_port.as_ref()?.number();
        Some(format!("rediss://{}:{port}/", self.address().ip()))
    }

    /// The URL for a user that [`RedisBuilder::user`] added.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}/", self.address())
    }

    /// The program that runs.
    #[must_use]
    pub fn binary(&self) -> &RedisBinary {
        &self.binary
    }

    /// Runs one command on a connection of its own, as the default user. An error that the server
    /// answers is an `Err` here; use [`client`](Self::client) to look at those.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] with the server's words, [`TestbedError::Io`] if it cannot be
    /// reached.
    pub fn command<A: AsRef<[u8]>>(&self, command: &[A]) -> Result<Reply, TestbedError> {
        let shown = command.first().map_or(String::new(), |name| {
            String::from_utf8_lossy(name.as_ref()).into_owned()
        });
        let reply = self
            .client()?
            .call(command)
            .map_err(TestbedError::io(format!("run {shown} on {}", self.name())))?;
        match reply {
            Reply::Error(answer) => Err(TestbedError::Refused {
                server: self.name().to_owned(),
                command: shown,
                answer,
            }),
            reply => Ok(reply),
        }
    }

    /// A new connection, past every proxy.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Io`] if the server does not run.
    pub fn client(&self) -> Result<RespClient, TestbedError> {
        RespClient::connect(self.address())
            .map_err(TestbedError::io(format!("connect to {}", self.name())))
    }
}

fn probe(address: SocketAddr) -> Result<(), String> {
    let reply = RespClient::connect_within(address, PROBE_PATIENCE)
        .and_then(|mut client| client.call(&["PING"]))
        .map_err(|error| error.to_string())?;
    match reply {
        // Whoever may not ask has been answered by a server that is up.
        Reply::Error(error)
            if !["NOAUTH", "NOPERM", "MASTERDOWN"]
                .iter()
                .any(|up| error.starts_with(up)) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
