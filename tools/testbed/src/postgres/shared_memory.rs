//! The one thing of a server that lies outside its folder.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use super::place::DATA;
use crate::folder::Folder;

/// The System V segment by which a server tells that its data folder is in use. One that is
/// started again over the same folder takes it over; one that was killed for good leaves it behind,
/// and a machine has few thousand of them. Dropping this removes it.
#[derive(Debug)]
pub(super) struct SharedMemory {
    /// Held, so that it is still there to look into when the process has let go of it.
    folder: Arc<Folder>,
}

impl SharedMemory {
    /// The segment of the server in `folder`.
    pub(super) fn of(folder: Arc<Folder>) -> Self {
        Self { folder }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if let Some(id) = segment(&self.folder.path().join(DATA)) {
            let _ = Command::new("ipcrm")
                .args(["-m", &id])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// The seventh line of the lock file is the segment's key and number.
fn segment(data: &Path) -> Option<String> {
    let lock = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let id = lock.lines().nth(6)?.split_whitespace().nth(1)?;
    Some(id.to_owned())
}
