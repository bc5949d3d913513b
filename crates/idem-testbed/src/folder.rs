//! A server's temporary folder, which is also how its processes are found again.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use crate::{TestbedError, account::Account, lifeline::Lifeline, residents};

/// A temporary folder for one server. Going away takes everything with it: the processes that live
/// in it first, then the files. If the test process dies without unwinding, its [`Lifeline`] does
/// the same from outside.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Lets go after `drop` has emptied the folder, and then finds nothing left to do.
    _lifeline: Lifeline,
}

impl Folder {
    /// Makes the folder. Anybody may enter it; it belongs to `owner`, if there is one. `farewell` is
    /// what the processes in it are sent first if the test process dies.
    pub(crate) fn create(owner: Option<Account>, farewell: Signal) -> Result<Self, TestbedError> {
        let folder = tempfile::Builder::new()
            .prefix("idem-testbed-")
            .tempdir()
            .map_err(TestbedError::io("make a temporary folder"))?;
        // The real path: processes are recognised by their working directory, which the kernel
        // reports with symbolic links resolved.
        let path = folder
            .path()
            .canonicalize()
            .map_err(TestbedError::io("resolve the temporary folder"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(TestbedError::io("open the temporary folder to others"))?;
        if let Some(owner) = owner {
            owner.take(&path)?;
        }
        let lifeline = Lifeline::tie(&path, farewell)?;
        let _ = folder.keep();
        Ok(Self {
            path,
            _lifeline: lifeline,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        residents::kill_all(&self.path);
        // What cannot be removed now, the lifeline tries again in a moment.
        let _ = fs::remove_dir_all(&self.path);
    }
}
