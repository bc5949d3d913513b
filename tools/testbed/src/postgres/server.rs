//! One server.

use std::{net::SocketAddr, time::Duration};

use super::{
    PostgresBuilder, PostgresPrograms, Row, SqlClient, SqlError, shared_memory::SharedMemory,
};
use crate::{Server, TestbedError, ports::Port, process::Process, server::is_a_server};

/// How long a probe waits for an answer; a server that starts up answers at once, if at all.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

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
    server: Server,
    programs: PostgresPrograms,
}

is_a_server!(Postgres);

impl Postgres {
    pub(super) fn new(
        process: Process,
        memory: SharedMemory,
        port: Port,
        programs: PostgresPrograms,
    ) -> Self {
        let memory = Some(Box::new(memory) as _);
        Self {
            server: Server::with_left_behind(process, port, probe, memory),
            programs,
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
        &self.programs
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

    fn failed(&self, sql: &str, error: SqlError) -> TestbedError {
        let server = self.name().to_owned();
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

fn probe(address: SocketAddr) -> Result<(), String> {
    SqlClient::connect_within(address, "postgres", PROBE_PATIENCE)
        .map(drop)
        .map_err(|error| error.to_string())
}
