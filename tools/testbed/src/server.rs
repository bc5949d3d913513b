//! [`Server`]: what every server that was started can do.

use std::{
    fmt::Debug,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    TestbedError, folder::Folder, launch::Launch, ports::Port, process::Process, unblock::unblock,
};

/// Asks the server at this address whether it is up.
pub(crate) type Probe = fn(SocketAddr) -> Result<(), String>;

/// One running server, whichever it is. Clones are handles of the same server, which goes with the
/// last of them. [`Redis`](crate::Redis), [`Postgres`](crate::Postgres), [`MariaDb`](crate::MariaDb),
/// [`PgBouncer`](crate::PgBouncer), [`Nats`](crate::Nats), [`RabbitMq`](crate::RabbitMq) and
/// [`Moto`](crate::Moto) dereference to it.
#[derive(Debug, Clone)]
pub struct Server {
    node: Arc<Node>,
}

/// The fields are dropped in this order: the process, then what it left behind.
#[derive(Debug)]
struct Node {
    process: Process,
    _left_behind: Option<Box<dyn Debug + Send + Sync>>,
    port: Port,
    probe: Probe,
    paused: AtomicBool,
}

impl Server {
    /// A server that is not started yet: [`restart_blocking`](Self::restart_blocking) does that.
    pub(crate) fn new(process: Process, port: Port, probe: Probe) -> Self {
        Self::with_left_behind(process, port, probe, None)
    }

    /// Starts one, and waits until it answers as the probe likes it.
    pub(crate) fn started(
        launch: Launch,
        folder: &Arc<Folder>,
        port: Port,
        probe: Probe,
    ) -> Result<Self, TestbedError> {
        let server = Self::new(Process::new(launch, Arc::clone(folder)), port, probe);
        server.restart_blocking()?;
        Ok(server)
    }

    /// As [`new`](Self::new); `left_behind` is dropped once the process is gone.
    pub(crate) fn with_left_behind(
        process: Process,
        port: Port,
        probe: Probe,
        left_behind: Option<Box<dyn Debug + Send + Sync>>,
    ) -> Self {
        Self {
            node: Arc::new(Node {
                process,
                _left_behind: left_behind,
                port,
                probe,
                paused: AtomicBool::new(false),
            }),
        }
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

    /// Its folder, with its configuration, data and log. Gone when the server is.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.node.process.folder().to_owned()
    }

    /// The number of the server's first process, none after [`kill`](Self::kill).
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.node.process.id()
    }

    /// Whether it runs. A paused server does.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.node.process.is_running()
    }

    /// Kills the server and all its processes with SIGKILL, and returns when they are gone. Its port
    /// stays reserved and its folder stays as it is, for [`restart`](Self::restart).
    pub fn kill(&self) {
        self.node.process.kill();
        self.node.paused.store(false, Ordering::SeqCst);
    }

    /// Stops the server and all its processes in their tracks (SIGSTOP): connections stay open, and
    /// nothing is answered.
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
    /// takes connections and answers. Does not touch a server that runs, unless that one was about
    /// to end by itself: then it is started once it has.
    ///
    /// Dropping the future does not stop the start.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Start`] if it does not come up.
    pub async fn restart(&self) -> Result<(), TestbedError> {
        let server = self.clone();
        unblock(move || server.restart_blocking()).await
    }

    /// [`restart`](Self::restart) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    pub fn restart_blocking(&self) -> Result<(), TestbedError> {
        self.wait_for(self.node.probe)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.node.process.log_tail()
    }

    /// Waits until the server, which is started if it does not run, answers as the probe likes it.
    pub(crate) fn wait_for(&self, probe: Probe) -> Result<(), TestbedError> {
        self.node.process.start(|| probe(self.address()))
    }

    /// Whether an answer can be expected of it.
    pub(crate) fn is_serving(&self) -> bool {
        self.is_running() && !self.node.paused.load(Ordering::SeqCst)
    }

    /// Whether both are handles of one server.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }

    pub(crate) fn name(&self) -> &str {
        self.node.process.name()
    }
}

/// Lets a handle do what every server can.
macro_rules! is_a_server {
    ($handle:ty) => {
        impl std::ops::Deref for $handle {
            type Target = crate::Server;

            fn deref(&self) -> &crate::Server {
                &self.server
            }
        }
    };
}

pub(crate) use is_a_server;
