//! Where the effects of halting keys happen: outside of every store, as a payment does.
//!
//! A file per key. It is a resource that can fence: once an operator has looked and found no effect
//! of an attempt, that attempt can have none any more. It does *not* refuse a second effect, because
//! that is what the run is to find.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::key::KeyId;

/// A worker that is stopped keeps its lock; the others must not block a thread on it.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// The effects of all keys.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    folder: PathBuf,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The attempt had its effect, and this is its answer.
    Effect { attempt: u32, answer: String },
    /// Attempts up to this one can have no effect any more.
    Fence { attempt: u32 },
}

/// What an operator found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// There was an effect, with this answer.
    Effect(String),
    /// There was none, and there will be none of that attempt.
    Fenced,
}

impl Ledger {
    pub(crate) fn of_run(folder: &Path) -> Self {
        Self {
            folder: folder.join("ledger"),
        }
    }

    /// Makes the folder of the ledger.
    pub(crate) fn create(&self) -> Result<()> {
        std::fs::create_dir(&self.folder).context("cannot start the ledger")
    }

    /// Has the effect of an attempt, unless it is fenced.
    pub(super) async fn effect(&self, key: KeyId, attempt: u32, answer: &str) -> io::Result<bool> {
        let mut page = self.lock(key).await?;
        let fenced = page.entries()?.iter().any(|entry| match entry {
            Entry::Fence { attempt: fence } => attempt <= *fence,
            Entry::Effect { .. } => false,
        });
        if !fenced {
            page.append(&format!("E {attempt} {answer}\n"))?;
        }
        Ok(!fenced)
    }

    /// Looks for an effect, and fences the attempt if there is none.
    pub(super) async fn investigate(&self, key: KeyId, attempt: u32) -> io::Result<Finding> {
        let mut page = self.lock(key).await?;
        for entry in page.entries()? {
            if let Entry::Effect { answer, .. } = entry {
                return Ok(Finding::Effect(answer));
            }
        }
        page.append(&format!("F {attempt}\n"))?;
        Ok(Finding::Fenced)
    }

    /// The page of a key, after the run.
    pub(crate) fn read(&self, key: KeyId) -> Result<Vec<Entry>> {
        let path = self.page(key);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let mut file = File::open(&path)?;
        entries(&mut file).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The lock goes with the file.
    async fn lock(&self, key: KeyId) -> io::Result<Page> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(self.page(key))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Page(file)),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY_AGAIN).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn page(&self, key: KeyId) -> PathBuf {
        self.folder.join(key.to_string())
    }
}

/// A locked file.
struct Page(File);

impl Page {
    fn entries(&mut self) -> io::Result<Vec<Entry>> {
        entries(&mut self.0)
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(line.as_bytes())
    }
}

fn entries(file: &mut File) -> io::Result<Vec<Entry>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.lines()
        .map(|line| {
            entry(line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("no entry: {line}"))
            })
        })
        .collect()
}

fn entry(line: &str) -> Option<Entry> {
    let (kind, rest) = line.split_once(' ')?;
    match kind {
        "F" => Some(Entry::Fence {
            attempt: rest.parse().ok()?,
        }),
        "E" => {
            let (attempt, answer) = rest.split_once(' ')?;
            Some(Entry::Effect {
                attempt: attempt.parse().ok()?,
                answer: answer.to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId { era: 0, index: 1 };

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of_run(folder.path());
        ledger.create().unwrap();
        (folder, ledger)
    }

    #[tokio::test]
    async fn an_attempt_that_was_found_without_effect_can_have_none_later() {
        let (_folder, ledger) = ledger();
        assert_eq!(ledger.investigate(KEY, 2).await.unwrap(), Finding::Fenced);
        assert!(!ledger.effect(KEY, 2, "late").await.unwrap());
        assert!(ledger.effect(KEY, 3, "done").await.unwrap());
        let found = ledger.investigate(KEY, 3).await.unwrap();
        assert_eq!(found, Finding::Effect("done".to_owned()));
        assert_eq!(
            ledger.read(KEY).unwrap(),
            [
                Entry::Fence { attempt: 2 },
                Entry::Effect {
                    attempt: 3,
                    answer: "done".to_owned()
                }
            ]
        );
    }

    #[tokio::test]
    async fn a_second_effect_is_not_hidden() {
        let (_folder, ledger) = ledger();
        assert!(ledger.effect(KEY, 1, "once").await.unwrap());
        assert!(ledger.effect(KEY, 1, "twice").await.unwrap());
        assert_eq!(ledger.read(KEY).unwrap().len(), 2);
    }
}
