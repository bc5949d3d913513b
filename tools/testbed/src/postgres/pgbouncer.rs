//! PgBouncer, which hands few connections to many clients.

use std::{env, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::SqlClient;
use crate::{
    Server, TestbedError,
    account::Account,
    folder::Folder,
    launch::Launch,
    ports::{Port, start_on_free_port},
    process::Process,
    server::is_a_server,
    unblock::unblock,
};

/// The environment variable with the path of the program.
const PROGRAM_VARIABLE: &str = "IDEM_PGBOUNCER";

/// Where it may lie outside the `PATH` of who is not root.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// How long a probe waits for an answer.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// The database that is PgBouncer itself.
const CONSOLE: &str = "pgbouncer";

/// What PgBouncer is started with: transaction mode, unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct PgBouncerBuilder {
    settings: Vec<(String, String)>,
}

impl PgBouncerBuilder {
    /// Adds a line to the configuration file; a later one of the same name replaces an earlier one.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it before the server at `server`, which may be a
    /// [`FaultyProxy`](crate::FaultyProxy), and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if it is not installed, [`TestbedError::Start`] if it refuses its
    /// settings.
    pub async fn start(self, server: SocketAddr) -> Result<PgBouncer, TestbedError> {
        unblock(move || self.start_blocking(server)).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self, server: SocketAddr) -> Result<PgBouncer, TestbedError> {
        start_on_free_port(|port| self.start_on(server, port))
    }

    fn start_on(&self, server: SocketAddr, port: Port) -> Result<PgBouncer, TestbedError> {
        let account = Account::unprivileged()?;
        let folder = Folder::create(account)?;
        let config = folder.path().join("pgbouncer.ini");
        fs::write(&config, self.config(server, &port))
            .map_err(TestbedError::io("write pgbouncer.ini"))?;
        let launch = Launch {
            name: format!("PgBouncer at 127.0.0.1:{}", port.number()),
            program: program(),
            args: vec![config.into()],
            account,
            own_session: false,
        };
        let process = Process::new(launch, Arc::new(folder));
        let bouncer = PgBouncer {
            server: Server::new(process, port, probe),
        };
        bouncer.restart_blocking().map_err(name_package)?;
        Ok(bouncer)
    }

    fn config(&self, server: SocketAddr, port: &Port) -> String {
        let (host, server_port) = (server.ip(), server.port());
        let mut lines = vec![
            "[databases]".to_owned(),
            format!("* = host={host} port={server_port} user=postgres"),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {}", port.number()),
            "unix_socket_dir =".to_owned(),
            "pool_mode = transaction".to_owned(),
            "auth_type = any".to_owned(),
            "admin_users = postgres".to_owned(),
            "max_client_conn = 1000".to_owned(),
            // A server that was down is asked again for the next client, not after 15 seconds in
            // which every client is refused.
            "server_login_retry = 0".to_owned(),
            // Most drivers say it, and it changes nothing but the printing of numbers.
            "ignore_startup_parameters = extra_float_digits".to_owned(),
        ];
        let given = self.settings.iter();
        lines.extend(given.map(|(name, value)| format!("{name} = {value}")));
        lines.join("\n") + "\n"
    }
}

/// A running PgBouncer. Clones are handles of the same one, which goes with the last of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idem_testbed::{PgBouncer, Postgres, postgres::SqlClient, skip_or_fail};
///
/// let Some(postgres) = skip_or_fail(Postgres::start().await) else {
///     return Ok(());
/// };
/// let Some(bouncer) = skip_or_fail(PgBouncer::start(postgres.address()).await) else {
///     return Ok(());
/// };
/// let mut client = SqlClient::connect(bouncer.address(), "postgres")?;
/// assert_eq!(client.query("SELECT 1")?, [[Some("1".to_owned())]]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PgBouncer {
    server: Server,
}

is_a_server!(PgBouncer);

impl PgBouncer {
    /// What to start it with.
    #[must_use]
    pub fn builder() -> PgBouncerBuilder {
        PgBouncerBuilder::default()
    }

    /// Starts it in transaction mode before the server at `server`.
    ///
    /// # Errors
    ///
    /// As [`PgBouncerBuilder::start`].
    pub async fn start(server: SocketAddr) -> Result<Self, TestbedError> {
        Self::builder().start(server).await
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of another database of the server behind it.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.address())
    }

    /// Waits until a client gets through to the server behind it: after that one was away,
    /// PgBouncer refuses clients until it has tried a login again.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Timeout`] if nobody ever gets through.
    pub async fn reaches_server(&self) -> Result<(), TestbedError> {
        let bouncer = self.clone();
        // It runs already, so this only asks.
        unblock(move || bouncer.wait_for(reaches_server)).await
    }
}

/// Asks PgBouncer itself, which is up whether or not its server is.
fn probe(address: SocketAddr) -> Result<(), String> {
    SqlClient::connect_within(address, CONSOLE, PROBE_PATIENCE)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn reaches_server(address: SocketAddr) -> Result<(), String> {
    SqlClient::connect_within(address, "postgres", PROBE_PATIENCE)
        .and_then(|mut client| client.query("SELECT 1"))
        .map(drop)
        .map_err(|error| error.to_string())
}

fn program() -> PathBuf {
    if let Some(path) = env::var_os(PROGRAM_VARIABLE) {
        return path.into();
    }
    let debian = PathBuf::from(DEBIAN);
    if debian.is_file() {
        debian
    } else {
        PathBuf::from("pgbouncer")
    }
}

fn name_package(error: TestbedError) -> TestbedError {
    match error {
        TestbedError::Missing { program, .. } => TestbedError::Missing {
            program,
            hint: format!(
                "install the package `pgbouncer`, or set {PROGRAM_VARIABLE} to the path of the program"
            ),
        },
        other => other,
    }
}
