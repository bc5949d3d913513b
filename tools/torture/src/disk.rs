//! A disk that is small enough to be filled.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// How it is told to the process that finds itself with one.
pub(crate) const VARIABLE: &str = "IDEM_TORTURE_DISK";

/// Room for a Postgres and its log, and little enough to be filled in a moment.
const SIZE: &str = "400m";

/// A file system of its own, of some hundred megabytes.
#[derive(Debug, Clone)]
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// The disk that this process was given.
    pub(crate) fn given() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os(VARIABLE)?);
        Some(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no room, until what it gives is dropped.
    pub(crate) fn fill(&self) -> Result<Filled> {
        let path = self.path.join("ballast");
        let mut file = File::create(&path).context("cannot put ballast on the small disk")?;
        let filled = Filled(path);
        for block in [1 << 20, 1 << 12] {
            fill_with(&mut file, &vec![0; block]).context("cannot fill the small disk")?;
        }
        Ok(filled)
    }
}

fn fill_with(file: &mut File, block: &[u8]) -> io::Result<()> {
    loop {
        match file.write_all(block) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What fills a disk.
#[derive(Debug)]
#[must_use = "dropped, it makes room again"]
pub(crate) struct Filled(PathBuf);

impl Drop for Filled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Starts this very program again in a mount namespace of its own, with a small disk in it that
/// nobody else sees and that goes with the program. Returns only if that cannot be had, with the
/// reason.
pub(crate) fn restart_with_one() -> anyhow::Error {
    match prepare() {
        Ok(path) => {
            let error = command(&path).exec();
            let _ = fs::remove_dir(&path);
            anyhow::Error::new(error).context("cannot start again with a small disk")
        }
        Err(error) => error,
    }
}

/// Makes the folder to mount it on, once it is known that it can be mounted.
fn prepare() -> Result<PathBuf> {
    let path = tempfile::Builder::new()
        .prefix("idem-torture-disk-")
        .tempdir()?
        .keep();
    let try_it = in_namespace(&path, "true").output();
    match try_it {
        Ok(output) if output.status.success() => Ok(path),
        outcome => {
            let _ = fs::remove_dir(&path);
            let complaint = match outcome {
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(error) => error.to_string(),
            };
            anyhow::bail!("a small disk takes the right to mount one: {complaint}");
        }
    }
}

fn command(path: &Path) -> Command {
    let mut command = in_namespace(path, r#"exec "$@""#);
    command.args(std::env::args_os()).env(VARIABLE, path);
    command
}

/// Runs `then` in a shell in a new namespace, with the disk mounted.
fn in_namespace(path: &Path, then: &str) -> Command {
    let mount = format!(r#"mount -t tmpfs -o size={SIZE},mode=755 tmpfs "$0" && {then}"#);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", &mount])
        .arg(path);
    command
}

/// Gives the disk back at the end of the program.
pub(crate) fn give_back() {
    if let Some(disk) = SmallDisk::given() {
        let _ = Command::new("umount").arg(&disk.path).status();
        let _ = fs::remove_dir(&disk.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_is_gone_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        File::create(&path).unwrap();
        drop(Filled(path.clone()));
        assert!(!path.exists());
    }
}
