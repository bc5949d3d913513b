//! One server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::{
    PostgresBuilder, PostgresPrograms, Row, SqlClient, SqlError, shared_memory::SharedMemory,
};
use crate::{TestbedError, ports::Port, process::Process, unblock::unblock};

/// How long a probe waits for an answer; a server that starts up answers at once, if at all.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// The fields are dropped in this order: the process, then what it left behind.
#[derive(Debug)]
struct Node {
    process: Process,
    _memory: SharedMemory,
    port: Port,
    programs: PostgresPrograms,
}

/// One running server. Clones are handles of the same server, which goes with the last of them.
///
/// It trusts everybody who connects from this machine, as any user; there is `postgres`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Postgres, skip_or_fail};
///
/// let Some(postgres) = skip_or_fail(Postgres::start().await) else {
///     return Ok(());
/// };
/// postgres.sql("CREATE TABLE colours (name text); INSERT INTO colours VALUES ('blue')")?;
/// postgres.kill();
/// postgres.restart().await?;
/// assert_eq!(postgres.sql("SELECT name FROM colours")?, [[Some("blue".to_owned())]]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Postgres {
    node: Arc<Node>,
}

impl Postgres {
    pub(super) fn new(
        process: Process,
        memory: SharedMemory,
        port: Port,
        programs: PostgresPrograms,
    ) -> Self {
        Self {
            node: Arc::new(Node {
                process,
                _memory: memory,
                port,
                programs,
            }),
        }
    }

    /// What to start it with.
    #[must_use]
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// Starts a server as [`PostgresBuilder::start`] does without any further word.
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::start`].
    pub async fn start() -> Result<Self, TestbedError> {
        Self::builder().start().await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::start`].
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

    /// `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of another database of this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// The installation it was started from.
    #[must_use]
    pub fn programs(&self) -> &PostgresPrograms {
        &self.node.programs
    }

    /// Its folder, with its data and log. Gone when the server is.
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

    /// Runs one or more statements in the database `postgres`, on a connection of its own, and
    /// returns the rows of all of them.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] with the server's words, [`TestbedError::Io`] if it cannot be
    /// reached.
    pub fn sql(&self, sql: &str) -> Result<Vec<Row>, TestbedError> {
        SqlClient::connect(self.address(), "postgres")
            .and_then(|mut client| client.query(sql))
            .map_err(|error| self.failed(sql, error))
    }

    /// Kills the server and all its backends with SIGKILL, and returns when they are gone. Its port
    /// stays reserved and its folder stays as it is, for [`restart`](Self::restart).
    pub fn kill(&self) {
        self.node.process.kill();
    }

    /// Stops the server and all its backends in their tracks (SIGSTOP): connections stay open, and
    /// nothing is answered.
    pub fn pause(&self) {
        self.node.process.pause();
    }

    /// Lets a paused server go on, with whatever arrived meanwhile.
    pub fn resume(&self) {
        self.node.process.resume();
    }

    /// Starts the killed server again, on the same port over the same folder, and waits until it
    /// has recovered and takes connections. Does not touch a server that runs, unless that one was
    /// about to end by itself: then it is started once it has.
    ///
    /// Dropping the future does not stop the start.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Start`] if it does not come up.
    pub async fn restart(&self) -> Result<(), TestbedError> {
        let postgres = self.clone();
        unblock(move || postgres.restart_blocking()).await
    }

    /// [`restart`](Self::restart) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    pub fn restart_blocking(&self) -> Result<(), TestbedError> {
        self.node.process.start(|| {
            SqlClient::connect_within(self.address(), "postgres", PROBE_PATIENCE)
                .map(drop)
                .map_err(|error| error.to_string())
        })
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.node.process.log_tail()
    }

    pub(super) fn name(&self) -> &str {
        self.node.process.name()
    }

    fn failed(&self, sql: &str, error: SqlError) -> TestbedError {
        let server = self.node.process.name().to_owned();
        match error {
            SqlError::Connection(source) => TestbedError::Io {
                action: format!("run `{sql}` on {server}"),
                source,
            },
            answer @ SqlError::Server { .. } => TestbedError::Refused {
                server,
                command: sql.to_owned(),
                answer: answer.to_string(),
            },
        }
    }
}
