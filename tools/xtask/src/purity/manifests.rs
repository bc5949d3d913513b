//! Every crate takes the workspace's lints, and those forbid unsafe code.

/// The root manifest forbids `unsafe` and asks for docs.
pub(super) fn root(manifest: &str) -> Vec<String> {
    let wanted = [("unsafe_code", "\"forbid\""), ("missing_docs", "\"deny\"")];
    wanted
        .into_iter()
        .filter(|(lint, level)| !has_entry(manifest, "workspace.lints.rust", lint, level))
        .map(|(lint, level)| format!("Cargo.toml: [workspace.lints.rust] lacks {lint} = {level}"))
        .collect()
}

/// The member `name` has `[lints] workspace = true`.
pub(super) fn member(name: &str, manifest: &str) -> Vec<String> {
    if has_entry(manifest, "lints", "workspace", "true") {
        Vec::new()
    } else {
        vec![format!(
            "{name}: its Cargo.toml lacks `[lints]` with `workspace = true`"
        )]
    }
}

/// Whether the table `[table]` has the line `key = value`.
fn has_entry(manifest: &str, table: &str, key: &str, value: &str) -> bool {
    let mut here = "";
    for line in manifest.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            here = header.trim_end_matches(']').trim();
        } else if let Some((left, right)) = line.split_once('=')
            && here == table
            && left.trim() == key
            && right.trim() == value
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "\
[workspace]
[workspace.lints.rust]
unsafe_code = \"forbid\" # nowhere
missing_docs = \"deny\"
";

    #[test]
    fn the_lints_of_the_workspace_pass() {
        assert_eq!(root(ROOT), [""; 0]);
        assert_eq!(
            member("a", "[package]\n[lints]\nworkspace = true\n"),
            [""; 0]
        );
    }

    #[test]
    fn a_member_without_them_is_found() {
        let without = "[package]\nname = \"a\"\n[dependencies]\nworkspace = true\n";
        assert_eq!(member("a", without).len(), 1);
        assert_eq!(member("a", "[lints]\n# workspace = true\n").len(), 1);
        assert_eq!(member("a", "[lints]\nworkspace = false\n").len(), 1);
    }

    #[test]
    fn a_softer_root_is_found() {
        assert_eq!(root(&ROOT.replace("forbid", "deny")).len(), 1);
        assert_eq!(
            root("[workspace.lints.clippy]\nunsafe_code = \"forbid\"\n").len(),
            2
        );
    }
}
