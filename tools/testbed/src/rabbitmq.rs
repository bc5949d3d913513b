//! RabbitMQ: one node.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    Server, TestbedError,
    folder::Folder,
    launch::Launch,
    ports::{BUS_OFFSET, Port, start_on_free_port},
    process::Process,
    server::is_a_server,
    unblock::unblock,
};

/// The environment variable with the path of the script that starts a node.
const SERVER_VARIABLE: &str = "IDEM_RABBITMQ_SERVER";

/// Where Debian has it: the script in `PATH` insists on a user of its own.
const DEBIAN: &str = "/usr/lib/rabbitmq/lib";

/// How long a probe waits for the greeting.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// Starts Erlang's port mapper in the node's folder and then the node. A node that finds no mapper
/// starts one that outlives it and leaves the folder; this one is found there and goes with it.
const START: &str = r#"
epmd -port "$ERL_EPMD_PORT" >/dev/null 2>&1 &
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.05; done
exec "$0"
"#;

/// One running node. Clones are handles of the same node, which goes with the last of them. The user
/// is `guest` with the password `guest`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idem_testbed::TestbedError> {
/// use idem_testbed::{RabbitMq, skip_or_fail};
///
/// let Some(rabbitmq) = skip_or_fail(RabbitMq::start().await) else {
///     return Ok(());
/// };
/// assert!(rabbitmq.url().starts_with("amqp://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RabbitMq {
    server: Server,
}

is_a_server!(RabbitMq);

impl RabbitMq {
    /// Starts a node and waits until it takes connections.
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
        let plugins = folder.path().join("plugins");
        fs::write(&plugins, "[].\n").map_err(TestbedError::io("write the list of plugins"))?;
        start_on_free_port(|port| {
            let mapper = Port::lease()?;
            let launch = Launch {
                name: format!("RabbitMQ at 127.0.0.1:{}", port.number()),
                program: "env".into(),
                args: environment(folder.path(), &port, &mapper)
                    .into_iter()
                    .chain(["sh".to_owned(), "-c".to_owned(), START.to_owned()])
                    .map(Into::into)
                    .chain([program.clone().into_os_string()])
                    .collect(),
                account: None,
                own_session: true,
            };
            let process = Process::new(launch, Arc::clone(&folder));
            let held = Some(Box::new(mapper) as _);
            let server = Server::with_left_behind(process, port, greeting, held);
            server.restart_blocking()?;
            Ok(Self { server })
        })
    }

    /// `amqp://127.0.0.1:PORT/%2f`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://{}/%2f", self.address())
    }
}

/// Nothing of it is shared with another node of this machine: neither names, nor ports, nor files.
fn environment(folder: &Path, port: &Port, mapper: &Port) -> Vec<String> {
    let number = port.number();
    let path = |name: &str| folder.join(name).display().to_string();
    [
        ("HOME", folder.display().to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", mapper.number().to_string()),
        ("RABBITMQ_NODENAME", format!("idem{number}@localhost")),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODE_PORT", number.to_string()),
        ("RABBITMQ_DIST_PORT", (number + BUS_OFFSET).to_string()),
        ("RABBITMQ_MNESIA_BASE", path("data")),
        ("RABBITMQ_LOG_BASE", path("logs")),
        ("RABBITMQ_LOGS", "-".to_owned()),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins")),
        ("RABBITMQ_CONF_ENV_FILE", path("no-environment")),
        ("RABBITMQ_CONFIG_FILE", path("no-configuration")),
        ("RABBITMQ_PID_FILE", path("pid")),
        // Schedulers that spin would take the processors from the tests.
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 2:2 +sbwt none".to_owned(),
        ),
    ]
    .map(|(name, value)| format!("{name}={value}"))
    .to_vec()
}

/// Says hello, and waits for `connection.start`: a method frame on channel 0.
fn greeting(address: SocketAddr) -> Result<(), String> {
    let greet = || {
        let mut stream = TcpStream::connect_timeout(&address, PROBE_PATIENCE)?;
        stream.set_read_timeout(Some(PROBE_PATIENCE))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut head = [0; 3];
        stream.read_exact(&mut head)?;
        Ok(head)
    };
    match greet() {
        Ok([1, 0, 0]) => Ok(()),
        Ok(other) => Err(format!("it greets with {other:?}")),
        Err(error) => Err(std::io::Error::to_string(&error)),
    }
}

fn server_program() -> Result<PathBuf, TestbedError> {
    if let Some(program) = std::env::var_os(SERVER_VARIABLE) {
        return Ok(program.into());
    }
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("sbin/rabbitmq-server"))
        .find(|program| program.is_file())
        .ok_or_else(|| TestbedError::Missing {
            program: "RabbitMQ (`rabbitmq-server`)".to_owned(),
            hint: format!(
                "install the package `rabbitmq-server`, or set {SERVER_VARIABLE} to the path of the \
                 script `sbin/rabbitmq-server`"
            ),
        })
}
