//! Programs that do their work and end.

use std::{fs, path::Path};

use crate::{TestbedError, launch::Launch, log_tail};

/// Runs a tool that does its work and ends, inside `place`.
///
/// Its output goes through a file and not through a pipe: a tool that leaves a process behind would
/// keep a pipe open.
pub(crate) fn run(launch: &Launch, place: &Path) -> Result<(), TestbedError> {
    let path = place.join("tool.log");
    let log = fs::File::create(&path).map_err(TestbedError::io("open a tool's log"))?;
    let errors = log
        .try_clone()
        .map_err(TestbedError::io("open a tool's log"))?;
    let status = launch
        .command(place)
        .stdout(log)
        .stderr(errors)
        .status()
        .map_err(|source| launch.not_run(source))?;
    if status.success() {
        return Ok(());
    }
    Err(TestbedError::Start {
        server: launch.name.clone(),
        reason: format!("it ended with {status}"),
        log: log_tail::of(&path),
    })
}
