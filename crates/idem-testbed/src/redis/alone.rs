//! One server.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;

use super::{RedisBinary, Reply, RespClient};
use crate::{
    TestbedError,
    folder::Folder,
    ports::Port,
    process::{Launch, Process},
    unblock::unblock,
};

/// How often other ports are tried when somebody else bound the first ones.
const PORT_ATTEMPTS: usize = 5;

/// How long a probe waits for an answer; a server that starts up answers at once, if at all.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// When the append-only file reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before every reply.
    Always,
    /// Once a second.
    EverySecond,
    /// When the operating system sees fit.
    No,
}

/// What a server is started with. Without any further word it keeps nothing on disk.
#[derive(Debug, Clone, Default)]
pub struct RedisBuilder {
    binary: Option<RedisBinary>,
    directives: Vec<(String, String)>,
    sentinel: bool,
}

impl RedisBuilder {
    /// Starts this program instead of the one that [`RedisBinary::find`] finds.
    #[must_use]
    pub fn binary(mut self, binary: RedisBinary) -> Self {
        self.binary = Some(binary);
        self
    }

    /// Keeps an append-only file, from which [`Redis::restart`] has the data again.
    #[must_use]
    pub fn append_only(self, fsync: AppendFsync) -> Self {
        let fsync = match fsync {
            AppendFsync::Always => "always",
            AppendFsync::EverySecond => "everysec",
            AppendFsync::No => "no",
        };
        self.directive("appendonly", "yes")
            .directive("appendfsync", fsync)
    }

    /// Bounds the memory, `8mb` for example, and says what happens at the bound: `noeviction`,
    /// `allkeys-lru`, ….
    #[must_use]
    pub fn max_memory(self, bytes: &str, policy: &str) -> Self {
        self.directive("maxmemory", bytes)
            .directive("maxmemory-policy", policy)
    }

    /// Adds a user by the rules of `ACL SETUSER`, for example
    /// `app on >secret ~* &* +@all -@dangerous`.
    #[must_use]
    pub fn user(self, rules: &str) -> Self {
        self.directive("user", rules)
    }

    /// Adds a line to the configuration file; a later one of the same name replaces an earlier one,
    /// but for those that may be given several times.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no server program, [`TestbedError::Start`] if it
    /// refuses its configuration.
    pub async fn start(self) -> Result<Redis, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Redis, TestbedError> {
        let binary = match self.binary.clone() {
            Some(binary) => binary,
            None => RedisBinary::find()?,
        };
        let mut attempts = 1;
        loop {
            match self.start_on(&binary, Port::lease()?) {
                Err(error) if error.is_port_taken() && attempts < PORT_ATTEMPTS => attempts += 1,
                outcome => return outcome,
            }
        }
    }

    /// Runs as a Sentinel, which takes its configuration from [`directive`](Self::directive).
    pub(super) fn for_sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    pub(super) fn chosen_binary(&self) -> Option<&RedisBinary> {
        self.binary.as_ref()
    }

    fn start_on(&self, binary: &RedisBinary, port: Port) -> Result<Redis, TestbedError> {
        let folder = Folder::create(None, Signal::KILL)?;
        let config = folder.path().join("redis.conf");
        fs::write(&config, self.config(&folder, &port))
            .map_err(TestbedError::io("write a Redis configuration"))?;
        let mut args = vec![config.into_os_string()];
        if self.sentinel {
            args.push("--sentinel".into());
        }
        let launch = Launch {
            name: format!("{binary} at 127.0.0.1:{}", port.number()),
            program: binary.path().to_owned(),
            args,
            account: None,
            farewell: Signal::KILL,
        };
        let redis = Redis {
            node: Arc::new(Node {
                process: Process::new(launch, Arc::new(folder)),
                port,
                binary: binary.clone(),
                paused: AtomicBool::new(false),
            }),
        };
        redis.restart_blocking()?;
        Ok(redis)
    }

    /// A file and not flags: a Sentinel rewrites it, and so the role that it gave to a server
    /// outlives the server.
    fn config(&self, folder: &Folder, port: &Port) -> String {
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("port {}", port.number()),
            format!("dir \"{}\"", folder.path().display()),
        ];
        if !self.sentinel {
            lines.push("save \"\"".to_owned());
            lines.push("repl-diskless-sync-delay 0".to_owned());
        }
        let given = self.directives.iter();
        lines.extend(given.map(|(name, value)| format!("{name} {value}")));
        lines.join("\n") + "\n"
    }
}

#[derive(Debug)]
struct Node {
    process: Process,
    port: Port,
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
    /// has loaded its data and answers. Does not touch a server that runs.
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
