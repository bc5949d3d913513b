//! Every metric of the code is on the page of the book that lists them, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// The page that lists them.
const PAGE: &str = "docs/reference/metrics.md";

/// # Errors
/// With the metrics that the page lacks, and those that it has and the code does not.
pub(crate) fn are_listed(workspace: &Workspace) -> Result<()> {
    let mut code = BTreeSet::new();
    let crates = workspace.path("crates");
    for entry in fs::read_dir(&crates).with_context(|| crates.display().to_string())? {
        collect(&entry?.path().join("src"), &mut code)?;
    }
    let page = fs::read_to_string(workspace.path(PAGE)).context(PAGE)?;
    let page = quoted(&page, '`');
    let missing = code
        .difference(&page)
        .map(|name| format!("{name} is not in {PAGE}"));
    let stale = page
        .difference(&code)
        .map(|name| format!("{name} of {PAGE} is not in the code"));
    let complaints: Vec<String> = missing.chain(stale).collect();
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    Ok(())
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(quoted(&fs::read_to_string(&path)?, '"'));
        }
    }
    Ok(())
}

/// The names between such quotes that begin as a metric of ours does.
fn quoted(text: &str, quote: char) -> BTreeSet<String> {
    const START: &str = "idem_";
    let start = format!("{quote}{START}");
    let starts = text.match_indices(&start);
    let names = starts.filter_map(|(at, _)| text[at + 1..].split_once(quote));
    let is_name = |name: &str| {
        name.len() > START.len() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    names
        .map(|(name, _)| name)
        .filter(|name| is_name(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_alone_between_quotes() {
        let code = r#"counter!("idem_a_total"); "idem_"; "select idem_b"; "idem_c and more""#;
        assert_eq!(
            quoted(code, '"'),
            BTreeSet::from(["idem_a_total".to_owned()])
        );
        let page = "| `idem_a_total`, `idem_b` | `idem_a_total{x=1}` |";
        assert_eq!(quoted(page, '`').len(), 2);
    }
}
