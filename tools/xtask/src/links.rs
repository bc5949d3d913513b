//! Relative links in Markdown files, and in `llms.txt`, have to lead somewhere: to a file or folder that
//! exists and, with `#…`, to a heading in it. Every page of the book is in its table of contents.

mod markdown;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::lane::Outcome;
use crate::workspace::Workspace;
use markdown::{Link, headings, links};

/// Build output and foreign code.
const NOT_OURS: [&str; 7] = [
    "target",
    ".git",
    ".cache",
    "node_modules",
    "mutants.out",
    "corpus",
    "book",
];

/// The book's table of contents.
const CONTENTS: &str = "docs/SUMMARY.md";

pub(crate) fn lane(workspace: &Workspace) -> Result<Outcome> {
    let mut pages = BTreeMap::new();
    collect(workspace.root(), workspace.root(), &mut pages)?;
    let mut complaints = broken_links(&pages, |path| workspace.root().join(path).exists());
    complaints.extend(unlisted_pages(&pages));
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} links lead nowhere or are missing", complaints.len());
    }
    Ok(Outcome::Passed(format!("{} Markdown files", pages.len())))
}

fn collect(root: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !NOT_OURS.iter().any(|not_ours| name == *not_ours) {
                collect(root, &path, pages)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") || name == "llms.txt"
        {
            let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            pages.insert(relative.to_path_buf(), text);
        }
    }
    Ok(())
}

/// One complaint per link that leads nowhere. Paths of `pages` are relative to the root, and so is
/// what `exists` is asked about.
fn broken_links(pages: &BTreeMap<PathBuf, String>, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for (page, text) in pages {
        for link in links(text) {
            if let Err(reason) = follow(page, &link, pages, &exists) {
                let Link { line, target } = link;
                broken.push(format!("{}:{line}: {target}: {reason}", page.display()));
            }
        }
    }
    broken
}

/// One complaint per page of the book that its table of contents leaves out.
fn unlisted_pages(pages: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let contents = Path::new(CONTENTS);
    let Some(text) = pages.get(contents) else {
        return Vec::new();
    };
    let listed: Vec<PathBuf> = links(text)
        .iter()
        .map(|link| Path::new("docs").join(&link.target))
        .collect();
    pages
        .keys()
        .filter(|page| page.starts_with("docs") && *page != contents)
        .filter(|page| !listed.contains(page))
        .map(|page| format!("{}: not in {CONTENTS}", page.display()))
        .collect()
}

fn follow(
    page: &Path,
    link: &Link,
    pages: &BTreeMap<PathBuf, String>,
    exists: &impl Fn(&Path) -> bool,
) -> Result<(), &'static str> {
    let target = link.target.as_str();
    if leaves_the_repository(target) {
        return Ok(());
    }
    let (file, heading) = target
        .split_once('#')
        .map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() {
        page.to_path_buf()
    } else {
        let folder = page.parent().unwrap_or(Path::new(""));
        normal(&folder.join(file)).ok_or("leads out of the repository")?
    };
    if !exists(&path) {
        return Err("no such file");
    }
    match (heading, pages.get(&path)) {
        (Some(heading), Some(text)) if !headings(text).iter().any(|slug| slug == heading) => {
            Err("no such heading")
        }
        _ => Ok(()),
    }
}

fn leaves_the_repository(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '+')
    })
}

/// `path` without `.` and `..`, or `None` when it climbs above the root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => normal.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(pages: &[(&str, &str)]) -> Vec<String> {
        let pages: BTreeMap<PathBuf, String> = pages
            .iter()
            .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
            .collect();
        let known = pages.clone();
        broken_links(&pages, |path| {
            known.contains_key(path) || path == Path::new("docs")
        })
    }

    #[test]
    fn a_link_to_an_existing_file_folder_or_heading_is_fine() {
        let found = complaints(&[
            (
                "README.md",
                "[a](docs/a.md) [b](docs) [c](docs/a.md#two-words) [d](#here)\n# Here\n",
            ),
            ("docs/a.md", "# Two words\n[back](../README.md#here)\n"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_link_to_a_missing_file_is_named_with_its_line() {
        let found = complaints(&[("README.md", "text\n[a](gone.md)\n")]);
        assert_eq!(found, ["README.md:2: gone.md: no such file"]);
    }

    #[test]
    fn a_link_to_a_missing_heading_is_named() {
        let found = complaints(&[("README.md", "# One\n[a](#two)\n")]);
        assert_eq!(found, ["README.md:2: #two: no such heading"]);
    }

    #[test]
    fn a_link_above_the_root_is_named() {
        let found = complaints(&[("README.md", "[a](../secret.md)")]);
        assert_eq!(
            found,
            ["README.md:1: ../secret.md: leads out of the repository"]
        );
    }

    #[test]
    fn a_page_of_the_book_that_the_contents_leave_out_is_named() {
        let pages = [
            ("README.md", ""),
            ("docs/SUMMARY.md", "[A](a.md) [B](b/c.md)"),
            ("docs/a.md", ""),
            ("docs/b/c.md", ""),
            ("docs/b/d.md", ""),
        ];
        let pages = pages.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let found = unlisted_pages(&BTreeMap::from(pages));
        assert_eq!(found, ["docs/b/d.md: not in docs/SUMMARY.md"]);
    }

    #[test]
    fn links_to_the_web_are_not_followed() {
        let found = complaints(&[(
            "README.md",
            "[a](https://example.org/x) [b](mailto:a@example.org)",
        )]);
        assert_eq!(found, Vec::<String>::new());
    }
}
