//! moto: an emulator of Amazon's services, one server.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
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

/// The environment variable with the path of the program `moto_server`.
const SERVER_VARIABLE: &str = "IDEM_MOTO_SERVER";

/// Where `cargo xtask test` unpacks it.
const UNPACKED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../.cache/servers/moto-5.2.5"
);

/// How long a probe waits for an answer.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// One running emulator, with what it was given in memory. Clones are handles of the same server, which
/// goes with the last of them.
///
/// It is no SQS: its visibility timeouts, receive counts, FIFO queues and redrive policies behave like the
/// documented ones; its limits, delays and failures are its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{Moto, skip_or_fail};
///
/// let Some(moto) = skip_or_fail(Moto::start().await) else {
///     return Ok(());
/// };
/// assert!(moto.url().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Moto {
    server: Server,
}

is_a_server!(Moto);

impl Moto {
    /// Starts a server and waits until it answers.
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
        let (program, first) = server_program()?;
        let folder = Arc::new(Folder::create(None)?);
        start_on_free_port(|port| {
            let number = port.number().to_string();
            let rest = ["-H", "127.0.0.1", "-p", &number].map(String::from);
            let launch = Launch {
                name: format!("moto at 127.0.0.1:{number}"),
                program: program.clone(),
                args: first.iter().cloned().chain(rest).map(Into::into).collect(),
                account: None,
                own_session: true,
            };
            let server = Server::started(launch, &folder, port, answer)?;
            Ok(Self { server })
        })
    }

    /// `http://127.0.0.1:PORT`: the endpoint for a client of any of its services.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

/// Asks for a page of its own.
fn answer(address: SocketAddr) -> Result<(), String> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, PROBE_PATIENCE)?;
        stream.set_read_timeout(Some(PROBE_PATIENCE))?;
        stream.write_all(
            b"HEAD /moto-api/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    };
    match ask() {
        Ok(said)
            if said
                .lines()
                .next()
                .is_some_and(|line| line.contains(" 200 ")) =>
        {
            Ok(())
        }
        Ok(said) => Err(format!("it says `{}`", said.lines().next().unwrap_or(""))),
        Err(error) => Err(std::io::Error::to_string(&error)),
    }
}

/// The program and its first arguments.
fn server_program() -> Result<(PathBuf, Vec<String>), TestbedError> {
    if let Some(program) = std::env::var_os(SERVER_VARIABLE) {
        return Ok((program.into(), Vec::new()));
    }
    let python = in_path_or(&[], "python3").filter(|_| Path::new(UNPACKED).is_dir());
    let python = python.ok_or_else(|| TestbedError::Missing {
        program: "moto (`moto_server`)".to_owned(),
        hint: format!(
            "`cargo xtask test` gets it from PyPI (`moto`, `flask`, `flask-cors`); else set \
             {SERVER_VARIABLE} to the path of the program"
        ),
    })?;
    let script = format!(
        "import sys; sys.path.insert(0, {UNPACKED:?}); from moto.server import main; main(sys.argv[1:])"
    );
    Ok((python, vec!["-c".to_owned(), script]))
}
