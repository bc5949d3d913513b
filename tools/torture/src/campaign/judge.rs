//! From the folder of a campaign to its verdict.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    check::{self, Rules, Verdict},
    history::Histories,
    key::KeyId,
    worker::Ledger,
};

/// Keeps the rules beside the histories, so that they can be checked once more.
pub(super) fn save(folder: &Path, rules: &Rules) -> Result<()> {
    std::fs::write(rules_in(folder), serde_json::to_vec(rules)?).context("cannot keep the rules")
}

pub(super) fn judge(folder: &Path, rules: &Rules) -> Result<Verdict> {
    judge_all(folder, &Histories::read(folder)?, rules)
}

fn judge_all(folder: &Path, histories: &Histories, rules: &Rules) -> Result<Verdict> {
    let ledger = Ledger::of_run(folder);
    let mut unreadable = None;
    let entries = |key| {
        ledger.read(key).unwrap_or_else(|error| {
            unreadable.get_or_insert(error);
            Vec::new()
        })
    };
    let verdict = check::check(histories, rules, entries);
    match unreadable {
        Some(error) => Err(error),
        None => Ok(verdict),
    }
}

/// Checks the histories of an earlier campaign, or that of one key.
pub(crate) fn recheck(folder: &Path, key: Option<KeyId>) -> Result<Verdict> {
    let rules = std::fs::read(rules_in(folder))
        .with_context(|| format!("{} has no campaign in it", folder.display()))?;
    let mut histories = Histories::read(folder)?;
    if let Some(key) = key {
        histories.keys.retain(|other, _| *other == key);
    }
    judge_all(folder, &histories, &serde_json::from_slice(&rules)?)
}

fn rules_in(folder: &Path) -> PathBuf {
    folder.join("rules")
}
