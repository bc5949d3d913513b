//! Adds up the result lines of test programs as they go by.

use std::fmt;

/// What a test says that was not run, for want of a server, and that its harness counts as passed.
const SKIPPED: &str = ": skipped, because ";

/// The counts so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    said_skipped: u64,
}

impl Tally {
    /// Takes the next line of output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.add(counts);
        } else if line.contains(SKIPPED) {
            self.said_skipped += 1;
        }
    }

    pub(crate) fn ran_any(&self) -> bool {
        self.passed() + self.failed > 0
    }

    /// Takes `ok. 5 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, counts: &str) {
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            let (Some(number), Some(word)) = (number, words.next()) else {
                continue;
            };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    fn passed(&self) -> u64 {
        self.passed.saturating_sub(self.said_skipped)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed();
        let failed = self.failed;
        let skipped = self.ignored + self.said_skipped;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn adds_up_every_suite() {
        let tally = tally(
            "running 2 tests
test a ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: FAILED. 3 passed; 1 failed; 4 ignored; 0 measured; 7 filtered out; finished in 1.25s",
        );
        assert_eq!(tally.to_string(), "5 passed, 1 failed, 4 skipped");
        assert!(tally.ran_any());
    }

    #[test]
    fn a_test_that_says_it_was_skipped_did_not_pass() {
        let tally = tally(
            "s3_update: skipped, because `redis-server` is missing
test s3_update ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 1 skipped");
        assert!(!tally.ran_any());
    }

    #[test]
    fn other_lines_that_speak_of_passing_do_not_count() {
        let tally = tally("7 passed; no result line\nnote: test result: ok. 1 passed");
        assert_eq!(tally, Tally::default());
    }
}
