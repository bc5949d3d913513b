//! What the coordinator asks of a worker.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Target;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Which process of the run this is; a worker that is started anew is another one.
    pub(crate) process: u32,
    pub(crate) seed: u64,
    /// The folder of the run.
    pub(crate) folder: PathBuf,
    pub(crate) target: Target,
    /// How many keys are hit in each era.
    pub(crate) keys: u16,
    pub(crate) task: Task,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Hit the keys of the current era until told to stop, with so many clients.
    Serve { clients: u16 },
    /// Bring every key of so many eras to its end.
    Settle { eras: u32 },
}

impl Assignment {
    pub(crate) fn history(&self) -> PathBuf {
        self.file("history")
    }

    pub(super) fn progress(&self) -> PathBuf {
        self.file("progress")
    }

    pub(crate) fn struck(&self) -> PathBuf {
        self.file("struck")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{kind}-{}", self.process))
    }
}
