//! Where a server is going to run.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Postgres, PostgresPrograms, shared_memory::SharedMemory};
use crate::{
    TestbedError,
    account::Account,
    folder::Folder,
    launch::Launch,
    ports::{Port, start_on_free_port},
    process::Process,
    tool,
};

/// The data folder's name, within the server's folder.
pub(super) const DATA: &str = "data";

/// A folder with a data folder to be, before a server runs over it.
#[derive(Debug)]
pub(super) struct Place {
    programs: PostgresPrograms,
    account: Option<Account>,
    folder: Arc<Folder>,
}

impl Place {
    /// Has its folder in `place`, or without one in the temporary folder.
    pub(super) fn create(
        programs: PostgresPrograms,
        place: Option<&Path>,
    ) -> Result<Self, TestbedError> {
        let account = Account::unprivileged()?;
        let folder = Folder::create_in(place, account)?;
        Ok(Self {
            programs,
            account,
            folder: Arc::new(folder),
        })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    /// A name that no other server has.
    pub(super) fn label(&self) -> String {
        let name = self.folder.path().file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Runs one of the tools on the data folder.
    pub(super) fn run(&self, tool: &str, args: &[&str]) -> Result<(), TestbedError> {
        let mut launch = self.launch(tool, tool.to_owned());
        launch.args.extend(args.iter().map(Into::into));
        tool::run(&launch, self.folder.path())
    }

    /// Starts a server over the data folder.
    pub(super) fn serve(self) -> Result<Postgres, TestbedError> {
        start_on_free_port(|port| {
            let server = self.server(port);
            server.restart_blocking()?;
            Ok(server)
        })
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
        let process = Process::new(launch, Arc::clone(&self.folder));
        let memory = SharedMemory::of(Arc::clone(&self.folder));
        Postgres::new(process, memory, port, self.programs.clone())
    }

    fn launch(&self, program: &str, name: String) -> Launch {
        Launch {
            name,
            program: self.programs.program(program),
            args: vec!["-D".into(), self.data().into()],
            account: self.account,
            // Its backends each make themselves one.
            own_session: false,
        }
    }
}
