//! The one thing of a killed server that lies outside its folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The System V segment by which a server tells that its data folder is in use. A server that ends
/// removes it itself, and one that is started again over the same folder takes it over; one that
/// was killed for good leaves it behind, and a machine has few thousand of them. Dropping this
/// removes it.
#[derive(Debug)]
pub(super) struct SharedMemory {
    data: PathBuf,
}

impl SharedMemory {
    /// The segment of the data folder `data`.
    pub(super) fn of(data: PathBuf) -> Self {
        Self { data }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if let Some(id) = segment(&self.data) {
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
