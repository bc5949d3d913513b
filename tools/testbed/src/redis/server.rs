//! One server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{RedisBinary, RedisBuilder, Reply, RespClient};
use crate::{TestbedError, ports::Port, process::Process, unblock::unblock};

/// How long a probe waits for an answer; a server that starts up answers at once, if at all.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Node {
    process: Process,
    port: Port,
    encrypted_port: Option<Port>,
    binary: RedisBinary,
    paused: AtomicBool,
}

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
    node: Arc<Node>,
}

impl Redis {
    pub(super) fn new(
        process: Process,
        port: Port,
        encrypted_port: Option<Port>,
        binary: RedisBinary,
    ) -> Self {
        Self {
            node: Arc::new(Node {
                process,
                port,
                encrypted_port,
                binary,
                paused: AtomicBool::new(false),
            }),
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The port it listens on, after a restart too.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.node.port.number()
    }

    /// `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// `rediss://127.0.0.1:PORT/`; none unless [`RedisBuilder::encrypted`] said so.
    #[must_use]
    pub fn encrypted_url(&self) -> Option<String> {
        let port = self.node.encrypted_port.as_ref()?;
        Some(format!(
            "rediss://{}:{}/",
            Ipv4Addr::LOCALHOST,
            port.number()
        ))
    }

    /// The URL for a user that [`RedisBuilder::user`] added.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}/", self.address())
    }

    /// The program that runs.
    #[must_use]
    pub fn binary(&self) -> &RedisBinary {
        &self.node.binary
    }

    /// Its folder, with its configuration, data and log. Gone when the server is.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.node.process.folder().to_owned()
    }

    /// The number of the running process, none after [`kill`](Self::kill).
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.node.process.id()
    }

    /// Whether it runs. A paused server does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.node.process.is_running()
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
            .map_err(TestbedError::io(format!(
                "run {shown} on {}",
                self.node.process.name()
            )))?;
        match reply {
            Reply::Error(answer) => Err(TestbedError::Refused {
                server: self.node.process.name().to_owned(),
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
        RespClient::connect(self.address()).map_err(TestbedError::io(format!(
            "connect to {}",
            self.node.process.name()
        )))
    }

    /// Kills the server with SIGKILL, and returns when it is gone. Its port stays reserved and its
    /// folder stays as it is, for [`restart`](Self::restart).
    pub fn kill(&self) {
        self.node.process.kill();
        self.node.paused.store(false, Ordering::SeqCst);
    }

    /// Stops the server in its tracks (SIGSTOP): connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.node.paused.store(true, Ordering::SeqCst);
        self.node.process.pause();
    }

    /// Lets a paused server go on, with whatever arrived meanwhile.
    pub fn resume(&self) {
        self.node.process.resume();
        self.node.paused.store(false, Ordering::SeqCst);
    }

    /// Starts the killed server again, on the same port over the same folder, and waits until it
    /// has loaded its data and answers. Does not touch a server that runs, unless that one was about
    /// to end by itself: then it is started once it has.
    ///
    /// Dropping the future does not stop the start.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Start`] if it does not come up.
    pub async fn restart(&self) -> Result<(), TestbedError> {
        let redis = self.clone();
        unblock(move || redis.restart_blocking()).await
    }

    /// [`restart`](Self::restart) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    pub fn restart_blocking(&self) -> Result<(), TestbedError> {
        self.node.process.start(|| self.probe())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.node.process.log_tail()
    }

    /// Whether an answer can be expected of it.
    pub(super) fn is_serving(&self) -> bool {
        self.is_running() && !self.node.paused.load(Ordering::SeqCst)
    }

    /// Whether both are handles of one server.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }

    pub(super) fn name(&self) -> &str {
        self.node.process.name()
    }

    fn probe(&self) -> Result<(), String> {
        let reply = RespClient::connect_within(self.address(), PROBE_PATIENCE)
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
}
