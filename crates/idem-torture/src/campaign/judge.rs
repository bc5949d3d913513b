//! From the folder of a campaign to its verdict.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    check::{self, Rules, Verdict},
    history::Histories,
    worker::Ledger,
};

/// Keeps the rules beside the histories, so that they can be checked once more.
pub(super) fn save(folder: &Path, rules: &Rules) -> Result<()> {
    std::fs::write(rules_in(folder), serde_json::to_vec(rules)?).context("cannot keep the rules")
}

pub(super) fn judge(folder: &Path, rules: &Rules) -> Result<Verdict> {
    let histories = Histories::read(folder)?;
    let ledger = Ledger::of_run(folder);
    let mut unreadable = None;
    let entries = |key| {
        ledger.read(key).unwrap_or_else(|error| {
            unreadable.get_or_insert(error);
            Vec::new()
        })
    };
    let verdict = check::check(&histories, rules, entries);
    match unreadable {
        Some(error) => Err(error),
        None => Ok(verdict),
    }
}

/// Checks the histories of an earlier campaign.
pub(crate) fn recheck(folder: &Path) -> Result<Verdict> {
    let rules = std::fs::read(rules_in(folder))
        .with_context(|| format!("{} has no campaign in it", folder.display()))?;
    judge(folder, &serde_json::from_slice(&rules)?)
}

fn rules_in(folder: &Path) -> PathBuf {
    folder.join("rules")
}
