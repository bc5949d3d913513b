//! `cargo xtask stripe`: the official clients of Stripe against the payments example in Stripe's
//! profile. It alone shows that clients which were not written for idem get along with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::Step;
use crate::lane::{Outcome, Report};
use crate::matrix::absent;
use crate::workspace::Workspace;

const PYPI: &str = "stripe==16.1.0";
const NPM: &str = "stripe@23.1.0";

pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    report.lane(&format!("{PYPI} of PyPI"), || {
        in_a_folder("python", |folder| python(workspace, folder))
    });
    report.lane(&format!("{NPM} of npm"), || {
        in_a_folder("node", |folder| node(workspace, folder))
    });
}

fn python(workspace: &Workspace, folder: &Path) -> Result<Outcome> {
    let python = folder.join("bin/python").to_string_lossy().into_owned();
    let made = Step::new(workspace, "python3")
        .args(["-m", "venv", &folder.to_string_lossy()])
        .run()
        .and_then(|()| {
            Step::new(workspace, &python)
                .args(["-m", "pip", "install", "--quiet", PYPI])
                .run()
        });
    match made {
        Ok(()) => tests(workspace, "python", ("IDEM_STRIPE_PYTHON", &python)),
        Err(why) => Ok(absent(format!("{PYPI} cannot be had: {why:#}"))),
    }
}

fn node(workspace: &Workspace, folder: &Path) -> Result<Outcome> {
    let made = Step::new(workspace, "npm")
        .args(["install", "--no-fund", "--no-audit", "--loglevel", "error"])
        .args(["--prefix", &folder.to_string_lossy(), NPM])
        .run();
    let modules = folder.join("node_modules").to_string_lossy().into_owned();
    match made {
        Ok(()) => tests(workspace, "node", ("IDEM_STRIPE_NODE_MODULES", &modules)),
        Err(why) => Ok(absent(format!(
            "{NPM} cannot be had (Debian has `nodejs` and `npm`): {why:#}"
        ))),
    }
}

fn tests(workspace: &Workspace, client: &str, (name, value): (&str, &str)) -> Result<Outcome> {
    Step::cargo(workspace)
        .env(name, value)
        .args(["test", "-p", "payments", "--all-features", "--test", "http"])
        .args(["--", "--ignored", "--nocapture", "--exact"])
        .args([format!("stripe::the_official_{client}_client")])
        .run()?;
    Ok(Outcome::passed())
}

/// Does `work` with a new temporary folder, which is gone afterwards.
fn in_a_folder(name: &str, work: impl FnOnce(&Path) -> Result<Outcome>) -> Result<Outcome> {
    let folder = Folder::new(name)?;
    work(&folder.0)
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let name = format!("idem-stripe-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
