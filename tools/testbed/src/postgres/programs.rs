//! Which server programs are started.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::TestbedError;

/// The environment variable with the folder of the server programs.
const BINDIR_VARIABLE: &str = "IDEM_PG_BINDIR";

/// Where Debian keeps the server programs of each major version, outside `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder with `initdb`, `postgres` and the rest of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresPrograms {
    bindir: PathBuf,
}

impl PostgresPrograms {
    /// The installation in the folder that `IDEM_PG_BINDIR` names, else the one that `pg_config`
    /// speaks of, else the newest below `/usr/lib/postgresql`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no server, or none in the folder that was named.
    pub fn find() -> Result<Self, TestbedError> {
        if let Some(bindir) = env::var_os(BINDIR_VARIABLE) {
            return Self::in_folder(bindir);
        }
        bindir_of_pg_config()
            .and_then(|bindir| Self::in_folder(bindir).ok())
            .or_else(newest_of_debian)
            .ok_or_else(|| missing(Path::new("PATH")))
    }

    /// The installation in the folder `bindir`.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Missing`] if there is no server.
    pub fn in_folder(bindir: impl Into<PathBuf>) -> Result<Self, TestbedError> {
        let bindir = bindir.into();
        if bindir.join("initdb").is_file() && bindir.join("postgres").is_file() {
            Ok(Self { bindir })
        } else {
            Err(missing(&bindir))
        }
    }

    /// The path of one of its programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bindir.join(name)
    }
}

/// Often there without a server: the package of the client library brings it.
fn bindir_of_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(PathBuf::from(
        String::from_utf8(output.stdout).ok()?.trim_end(),
    ))
}

fn newest_of_debian() -> Option<PostgresPrograms> {
    let versions = fs::read_dir(DEBIAN).ok()?.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let version: u32 = folder.file_name()?.to_str()?.parse().ok()?;
        let programs = PostgresPrograms::in_folder(folder.join("bin")).ok()?;
        Some((version, programs))
    });
    let (_, newest) = versions.max_by_key(|(version, _)| *version)?;
    Some(newest)
}

fn missing(place: &Path) -> TestbedError {
    TestbedError::Missing {
        program: "PostgreSQL (`initdb` and `postgres`)".to_owned(),
        hint: format!(
            "none in {}; install the package `postgresql`, or set {BINDIR_VARIABLE} to the folder with these programs",
            place.display()
        ),
    }
}
