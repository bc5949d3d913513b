//! No decision of idem-core reads a clock: its sources are searched for the names of clocks, in
//! code and not in comments or strings.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

/// The one file that may read the wall clock, once, for the stamp that people read.
const STAMP: &str = "stamp.rs";

/// Names that lead to the wall clock.
const WALL_CLOCK: [&str; 5] = [
    "SystemTime",
    "UNIX_EPOCH",
    "chrono",
    "jiff",
    "OffsetDateTime",
];

/// Pure decisions and bytes have no use for these, nor for the `now` of anything.
const NOT_PURE: [&str; 2] = ["Instant", "tokio"];
const PURE: [&str; 2] = ["machine", "codec"];

/// A name and where it stands.
struct Name {
    text: String,
    line: usize,
    /// Whether it is the `b` of `a::b`.
    is_path_end: bool,
}

impl Name {
    /// `Instant::now`, `Timestamp::now`, …; a variable may be called `now`.
    fn is_now_of_a_clock(&self) -> bool {
        self.is_path_end && self.text == "now"
    }
}

/// Complaints about clocks in the files of idem-core's `src`, named relative to it.
///
/// # Errors
/// A file that is not Rust.
pub(super) fn clocks(files: &[(PathBuf, String)]) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (path, text) in files {
        let names = names(text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        complaints.extend(wall_clock(path, &names));
        complaints.extend(not_pure(path, &names));
    }
    Ok(complaints)
}

fn wall_clock(path: &Path, names: &[Name]) -> Vec<String> {
    if path == Path::new(STAMP) {
        return second_reading(path, names);
    }
    names
        .iter()
        .filter(|name| WALL_CLOCK.contains(&&*name.text))
        .map(|Name { text, line, .. }| {
            format!(
                "idem-core/src/{}:{line}: {text} belongs into {STAMP} alone",
                path.display()
            )
        })
        .collect()
}

/// In the stamp's file every reading after the first.
fn second_reading(path: &Path, names: &[Name]) -> Vec<String> {
    readings(names)
        .skip(1)
        .map(|name| {
            format!(
                "idem-core/src/{}:{}: a second reading of the wall clock",
                path.display(),
                name.line
            )
        })
        .collect()
}

/// `SystemTime::now` and `UNIX_EPOCH.elapsed()`; `fn now` only gives the one reading a name.
fn readings(names: &[Name]) -> impl Iterator<Item = &Name> {
    names
        .iter()
        .filter(|name| name.is_now_of_a_clock() || name.text == "elapsed")
}

fn not_pure(path: &Path, names: &[Name]) -> Vec<String> {
    let is_pure = path.components().next().is_some_and(|first| {
        let first = first.as_os_str().to_string_lossy();
        PURE.iter().any(|pure| first.starts_with(pure))
    });
    if !is_pure {
        return Vec::new();
    }
    names
        .iter()
        .filter(|name| name.is_now_of_a_clock() || NOT_PURE.contains(&&*name.text))
        .map(|Name { text, line, .. }| {
            format!(
                "idem-core/src/{}:{line}: {text} has no place among pure functions",
                path.display()
            )
        })
        .collect()
}

/// The identifiers of a Rust file in their order; those in comments and strings do not count.
fn names(text: &str) -> Result<Vec<Name>> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{error}"))?;
    let mut names = Vec::new();
    gather(tokens, &mut names);
    Ok(names)
}

fn gather(tokens: TokenStream, names: &mut Vec<Name>) {
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(name) => names.push(Name {
                text: name.to_string(),
                line: name.span().start().line,
                is_path_end: colons == 2,
            }),
            TokenTree::Group(group) => gather(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        colons = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        clocks(&[(PathBuf::from(path), text.to_owned())]).expect("it is Rust")
    }

    #[test]
    fn the_stamp_may_read_the_wall_clock_once() {
        let once = "fn now() -> u64 { let _: SystemTime = SystemTime::now(); 0 }";
        assert_eq!(complaints("stamp.rs", once), [""; 0]);
        let twice = format!("{once}\nfn again() {{ UNIX_EPOCH.elapsed(); }}");
        assert_eq!(
            complaints("stamp.rs", &twice),
            ["idem-core/src/stamp.rs:2: a second reading of the wall clock"]
        );
    }

    #[test]
    fn no_other_file_may_name_a_wall_clock() {
        for text in [
            "use std::time::SystemTime;",
            "use std::time::SystemTime as Quiet;",
            "fn f() { std::time::UNIX_EPOCH.elapsed(); }",
            "fn f() { chrono::Utc::now(); }",
        ] {
            assert_eq!(complaints("engine/claim.rs", text).len(), 1, "{text}");
            assert_eq!(complaints("deep/stamp.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn comments_docs_and_strings_may_speak_of_clocks() {
        let text = "//! No `SystemTime` here.\n/* Instant */\nconst A: &str = \"SystemTime::now\";\
                    \nconst B: &str = r#\"Instant\"#;";
        assert_eq!(complaints("machine.rs", text), [""; 0]);
    }

    #[test]
    fn the_machine_and_the_codec_know_no_instant_and_no_runtime() {
        let text = "\nuse std::time::Instant;";
        for path in ["machine.rs", "machine/claim.rs", "codec.rs", "codec/v1.rs"] {
            assert_eq!(
                complaints(path, text),
                [format!(
                    "idem-core/src/{path}:2: Instant has no place among pure functions"
                )]
            );
        }
        for text in ["use tokio::time;", "fn f() { Stamp::now(); }"] {
            assert_eq!(complaints("machine.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_test_of_the_machine_may_count_a_time_of_its_own() {
        let text = "fn f(mut now: u64) { now += 1; world.now(); g(now); }";
        assert_eq!(complaints("machine/tests.rs", text), [""; 0]);
    }

    #[test]
    fn elsewhere_a_monotonic_instant_may_pace_renewal() {
        assert_eq!(
            complaints("engine.rs", "use tokio::time::Instant;"),
            [""; 0]
        );
    }

    #[test]
    fn names_inside_macros_count() {
        let text = "fn f() { println!(\"{:?}\", SystemTime::now()); }";
        assert_eq!(complaints("engine.rs", text).len(), 1);
    }

    #[test]
    fn what_is_not_rust_is_an_error() {
        assert!(clocks(&[(PathBuf::from("x.rs"), "fn (".to_owned())]).is_err());
    }
}
