//! Where the repository is.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The root folder of the repository; every command runs there.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// `cargo xtask` says where the xtask package is: two folders below the root.
    pub(crate) fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .context("start it as `cargo xtask …`, which tells it where the repository is")?;
        let root = Path::new(&package)
            .ancestors()
            .nth(2)
            .context("xtask is not inside a workspace folder")?;
        if !root.join("crates").is_dir() {
            bail!("{} has no crates/ folder", root.display());
        }
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}
