//! A server's temporary folder, which is also how its processes are found again.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{TestbedError, account::Account, lifeline::Lifeline, random, residents};

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
    /// Makes the folder in the temporary folder. Anybody may enter it; it belongs to `owner`, if
    /// there is one.
    pub(crate) fn create(owner: Option<Account>) -> Result<Self, TestbedError> {
        Self::create_in(None, owner)
    }

    /// Makes the folder in `place`, or without one in the temporary folder.
    pub(crate) fn create_in(
        place: Option<&Path>,
        owner: Option<Account>,
    ) -> Result<Self, TestbedError> {
        // The real path: processes are recognised by their working directory, which the kernel
        // reports with symbolic links resolved.
        let path = place
            .map_or_else(env::temp_dir, Path::to_owned)
            .canonicalize()
            .map_err(TestbedError::io("find the temporary folder"))?
            .join(format!("idem-testbed-{:016x}", random::u64()));
        // First, so that there is no moment at which the folder is there and nobody watches it.
        let lifeline = Lifeline::tie(&path)?;
        fs::create_dir(&path).map_err(TestbedError::io("make a temporary folder"))?;
        let folder = Self {
            path,
            _lifeline: lifeline,
        };
        fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o755))
            .map_err(TestbedError::io("open the temporary folder to others"))?;
        if let Some(owner) = owner {
            owner.take(&folder.path)?;
        }
        Ok(folder)
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
