//! One server.

use std::{
    fs::OpenOptions,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;

use super::{PostgresPrograms, Row, SqlClient, SqlError, shared_memory::SharedMemory};
use crate::{
    TestbedError,
    account::Account,
    folder::Folder,
    ports::Port,
    process::{self, Launch, Process},
    unblock::unblock,
};

/// How often other ports are tried when somebody else bound the first ones.
const PORT_ATTEMPTS: usize = 5;

/// How long a probe waits for an answer; a server that starts up answers at once, if at all.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// Ends the server at once, without the wait for its clients that SIGTERM begins.
const IMMEDIATE_SHUTDOWN: Signal = Signal::QUIT;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is flushed to the disk (`fsync=off`). What was committed survives the server being
    /// killed, since the operating system has it, but not the machine going down.
    #[default]
    Fast,
    /// Commits wait for the disk (`fsync=on`), as in production.
    Flushed,
}

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct PostgresBuilder {
    programs: Option<PostgresPrograms>,
    durability: Durability,
    settings: Vec<(String, String)>,
}

impl PostgresBuilder {
    /// Starts this installation instead of the one that [`PostgresPrograms::find`] finds.
    #[must_use]
    pub fn programs(mut self, programs: PostgresPrograms) -> Self {
        self.programs = Some(programs);
        self
    }

    /// What a commit waits for; [`Durability::Fast`] unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Adds a line to `postgresql.conf`; a later one of the same name replaces an earlier one. The
    /// value is quoted here.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes a fresh data folder, starts the server over it and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no installation, [`TestbedError::Start`] if the server
    /// refuses its settings.
    pub async fn start(self) -> Result<Postgres, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Postgres, TestbedError> {
        let programs = match self.programs.clone() {
            Some(programs) => programs,
            None => PostgresPrograms::find()?,
        };
        let place = Place::create(programs)?;
        place.run(
            "initdb",
            &[
                "-U",
                "postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        )?;
        self.configure(&place)?;
        place.serve()
    }

    fn configure(&self, place: &Place) -> Result<(), TestbedError> {
        let fsync = match self.durability {
            Durability::Fast => "off",
            Durability::Flushed => "on",
        };
        let mut lines = format!("fsync = {fsync}\nmax_connections = 300\n");
        for (name, value) in &self.settings {
            let value = value.replace('\'', "''");
            lines.push_str(&format!("{name} = '{value}'\n"));
        }
        OpenOptions::new()
            .append(true)
            .open(place.data().join("postgresql.conf"))
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(TestbedError::io("write postgresql.conf"))
    }
}

/// A folder with a data folder to be, before a server runs over it.
#[derive(Debug)]
pub(super) struct Place {
    programs: PostgresPrograms,
    account: Option<Account>,
    folder: Arc<Folder>,
}

impl Place {
    pub(super) fn create(programs: PostgresPrograms) -> Result<Self, TestbedError> {
        let account = Account::unprivileged()?;
        Ok(Self {
            programs,
            account,
            folder: Arc::new(Folder::create(account, IMMEDIATE_SHUTDOWN)?),
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of the tools on the data folder.
    pub(super) fn run(&self, tool: &str, args: &[&str]) -> Result<(), TestbedError> {
        let mut launch = self.launch(tool, tool.to_owned());
        launch.args.extend(args.iter().map(Into::into));
        process::run(&launch, self.folder.path())
    }

    /// Starts a server over the data folder.
    pub(super) fn serve(self) -> Result<Postgres, TestbedError> {
        let mut attempts = 1;
        loop {
            let server = self.server(Port::lease()?);
            match server.restart_blocking() {
                Err(error) if error.is_port_taken() && attempts < PORT_ATTEMPTS => attempts += 1,
                outcome => return outcome.map(|()| server),
            }
        }
    }

    fn server(&self, port: Port) -> Postgres {
        let name = format!("Postgres at 127.0.0.1:{}", port.number());
        let mut launch = self.launch("postgres", name);
        let flags = [
            "-p",
            &port.number().to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            // Their paths are short, and the temporary folder's may not be.
            "-c",
            "unix_socket_directories=",
        ];
        launch.args.extend(flags.iter().map(Into::into));
        Postgres {
            node: Arc::new(Node {
                process: Process::new(launch, Arc::clone(&self.folder)),
                _memory: SharedMemory::of(self.data()),
                port,
                programs: self.programs.clone(),
            }),
        }
    }

    fn launch(&self, program: &str, name: String) -> Launch {
        Launch {
            name,
            program: self.programs.program(program),
            args: vec!["-D".into(), self.data().into()],
            account: self.account,
            farewell: IMMEDIATE_SHUTDOWN,
        }
    }
}

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
    /// has recovered and takes connections. Does not touch a server that runs.
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
