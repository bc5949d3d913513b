//! moto, an emulator of Amazon's services: a Python program, so it is installed for the Python at hand.

use anyhow::Result;

use super::fetch::{CACHE, Fetched};
use crate::command::Step;
use crate::tools;
use crate::workspace::Workspace;

/// Where the testbed looks for it, below [`CACHE`].
const FOLDER: &str = "moto-5.2.5";

/// Its extra `server` would bring what all the services need; SQS needs no more than these.
const PACKAGES: [&str; 3] = ["moto[sqs]==5.2.5", "flask~=3.1", "flask-cors~=6.0"];

/// The file that is there once all of it is.
const DONE: &str = "installed";

/// Installs it into a folder that git ignores.
pub(super) fn fetch(workspace: &Workspace) -> Result<Fetched> {
    let folder = workspace.path(CACHE).join(FOLDER);
    if folder.join(DONE).is_file() {
        return Ok(Fetched::Ready(folder));
    }
    if let Some(absent) = tools::PIP.absent() {
        return Ok(Fetched::Absent(absent.remark().to_owned()));
    }
    let target = folder.to_string_lossy();
    let installed = Step::new(workspace, "python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            "--no-warn-conflicts",
        ])
        .args(["--root-user-action", "ignore", "--only-binary", ":all:"])
        .args(["--target", &target])
        .args(PACKAGES)
        .run();
    if let Err(error) = installed {
        return Ok(Fetched::Absent(format!("moto: {error:#}")));
    }
    std::fs::write(folder.join(DONE), "")?;
    Ok(Fetched::Ready(folder))
}
