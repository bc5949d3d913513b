//! The end of a server's log, for messages.

use std::{fs, path::Path};

/// Enough for a Postgres that refuses its configuration, and for a Redis that prints its banner.
const LINES: usize = 40;

/// The last lines of the log at `path`; says so where there is none.
pub(crate) fn of(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => end(&String::from_utf8_lossy(&bytes), LINES),
        Err(error) => format!("(no log: {error})"),
    }
}

/// The last `count` lines of `text`.
pub(crate) fn end(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{LINES, end};

    #[test]
    fn the_end_is_kept_and_not_the_beginning() {
        let long: String = (0..LINES + 5).map(|n| format!("line {n}\n")).collect();
        let tail = end(&long, LINES);
        assert!(tail.starts_with("line 5\n"), "{tail}");
        assert!(tail.ends_with(&format!("line {}", LINES + 4)), "{tail}");
    }
}
