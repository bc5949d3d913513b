//! MariaDB: one server.

use std::{
    ffi::OsString,
    io::Read as _,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{
    Durability, Server, TestbedError,
    account::Account,
    folder::Folder,
    launch::{Launch, in_path_or},
    ports::{Port, start_on_free_port},
    server::is_a_server,
    tool,
    unblock::unblock,
};

/// The environment variable with the path of the server program.
const SERVER_VARIABLE: &str = "IDEM_MARIADB_SERVER";

/// How long a probe waits for the greeting.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct MariaDbBuilder {
    durability: Durability,
    settings: Vec<(String, String)>,
    place: Option<PathBuf>,
}

impl MariaDbBuilder {
    /// What a commit waits for; [`Durability::Fast`] unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Adds a server option, such as `max-allowed-packet`; the last of a name wins.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the server's folder in `place` instead of the temporary folder: on a disk that is small
    /// enough to be filled, for example. The user that the server runs as must be able to enter it.
    #[must_use]
    pub fn folder_in(mut self, place: impl Into<PathBuf>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Makes a fresh data folder, starts the server over it and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if it is not installed, [`TestbedError::Start`] if the server refuses
    /// its settings.
    pub async fn start(self) -> Result<MariaDb, TestbedError> {
        unblock(move || self.start_blocking()).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<MariaDb, TestbedError> {
        let program = server_program()?;
        let account = Account::unprivileged()?;
        let folder = Arc::new(Folder::create_in(self.place.as_deref(), account)?);
        let data = folder.path().join("data");
        let install = Launch {
            name: "mariadb-install-db".to_owned(),
            program: "mariadb-install-db".into(),
            args: vec![
                "--no-defaults".into(),
                option("datadir", &data),
                "--auth-root-authentication-method=normal".into(),
                "--skip-test-db".into(),
            ],
            account,
            own_session: false,
        };
        tool::run(&install, folder.path())?;
        start_on_free_port(|port| {
            let launch = Launch {
                name: format!("MariaDB at 127.0.0.1:{}", port.number()),
                program: program.clone(),
                args: self.arguments(&data, &port),
                account,
                own_session: true,
            };
            let server = Server::started(launch, &folder, port, greeting)?;
            Ok(MariaDb { server })
        })
    }

    fn arguments(&self, data: &Path, port: &Port) -> Vec<OsString> {
        // What was committed survives the end of the process in both cases.
        let flush = match self.durability {
            Durability::Fast => 2,
            Durability::Flushed => 1,
        };
        let mut arguments: Vec<OsString> = vec!["--no-defaults".into(), option("datadir", data)];
        let fixed = [
            format!("--port={}", port.number()),
            "--bind-address=127.0.0.1".to_owned(),
            // Their paths are short, and the temporary folder's may not be.
            "--socket=".to_owned(),
            "--pid-file=server.pid".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--max-connections=300".to_owned(),
            "--innodb-buffer-pool-size=64M".to_owned(),
            format!("--innodb-flush-log-at-trx-commit={flush}"),
        ];
        arguments.extend(fixed.map(Into::into));
        let settings = self.settings.iter();
        arguments.extend(settings.map(|(name, value)| format!("--{name}={value}").into()));
        arguments
    }
}

/// One running server. Clones are handles of the same server, which goes with the last of them.
///
/// Everybody who connects from this machine may be `root`, without a password; there is no database
/// but the server's own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{MariaDb, skip_or_fail};
///
/// let Some(mariadb) = skip_or_fail(MariaDb::start().await) else {
///     return Ok(());
/// };
/// mariadb.sql("CREATE DATABASE shop; CREATE TABLE shop.colours (name text)")?;
/// mariadb.sql("INSERT INTO shop.colours VALUES ('blue')")?;
/// mariadb.kill();
/// mariadb.restart().await?;
/// assert_eq!(mariadb.sql("SELECT name FROM shop.colours")?, "blue\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MariaDb {
    server: Server,
}

is_a_server!(MariaDb);

impl MariaDb {
    /// What to start it with.
    #[must_use]
    pub fn builder() -> MariaDbBuilder {
        MariaDbBuilder::default()
    }

    /// Starts a server as [`MariaDbBuilder::start`] does without any further word.
    ///
    /// # Errors
    ///
    /// As [`MariaDbBuilder::start`].
    pub async fn start() -> Result<Self, TestbedError> {
        Self::builder().start().await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`MariaDbBuilder::start`].
    pub fn start_blocking() -> Result<Self, TestbedError> {
        Self::builder().start_blocking()
    }

    /// The URL of a database of this server: `mysql://root@127.0.0.1:PORT/NAME`.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("mysql://root@{}/{database}", self.address())
    }

    /// Runs one or more statements with the command `mariadb`, and returns the rows as it prints them:
    /// a line each, with tabs between the columns.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`] with the server's words, [`TestbedError::Io`] if the command cannot be
    /// run.
    pub fn sql(&self, sql: &str) -> Result<String, TestbedError> {
        let port = format!("--port={}", self.port());
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--host=127.0.0.1", "--user=root", &port])
            .args(["--batch", "--skip-column-names", "--execute", sql])
            .stdin(Stdio::null())
            .output()
            .map_err(TestbedError::io("run `mariadb`"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(TestbedError::Refused {
            server: self.name().to_owned(),
            command: sql.to_owned(),
            answer: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Waits for the greeting, which a server gives to whoever connects.
fn greeting(address: SocketAddr) -> Result<(), String> {
    let greet = || {
        let mut stream = TcpStream::connect_timeout(&address, PROBE_PATIENCE)?;
        stream.set_read_timeout(Some(PROBE_PATIENCE))?;
        // Three bytes of length, a number, and the version of the protocol; an error has 255 there.
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        Ok(head[4])
    };
    match greet() {
        Ok(10) => Ok(()),
        Ok(version) => Err(format!("it greets with {version}")),
        Err(error) => Err(std::io::Error::to_string(&error)),
    }
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(format!("--{name}="));
    option.push(path);
    option
}

fn server_program() -> Result<PathBuf, TestbedError> {
    if let Some(program) = std::env::var_os(SERVER_VARIABLE) {
        return Ok(program.into());
    }
    in_path_or(&["/usr/sbin", "/usr/libexec"], "mariadbd").ok_or_else(|| TestbedError::Missing {
        program: "MariaDB (`mariadbd`)".to_owned(),
        hint: format!(
            "install the package `mariadb-server`, or set {SERVER_VARIABLE} to the path of the program"
        ),
    })
}
