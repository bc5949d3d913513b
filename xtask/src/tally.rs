//! Adds up the result lines of test programs as they go by.

use std::fmt;

/// What `test result:` lines said so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    line: Vec<u8>,
}

impl Tally {
    /// Takes the next piece of output, cut anywhere.
    pub(crate) fn feed(&mut self, output: &[u8]) {
        for &byte in output {
            if byte == b'\n' {
                self.finish_line();
            } else {
                self.line.push(byte);
            }
        }
    }

    pub(crate) fn ran_any(&self) -> bool {
        self.passed + self.failed > 0
    }

    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        // `ok. 5 passed; 0 failed; 1 ignored; …`
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(word)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
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
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            ignored,
            ..
        } = self;
        write!(f, "{passed} passed, {failed} failed, {ignored} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 2 tests
test a ... ok
test b ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

test result: FAILED. 3 passed; 1 failed; 4 ignored; 0 measured; 7 filtered out; finished in 1.25s
";

    #[test]
    fn adds_up_every_suite() {
        let mut tally = Tally::default();
        tally.feed(OUTPUT.as_bytes());
        assert_eq!(tally.to_string(), "5 passed, 1 failed, 4 skipped");
        assert!(tally.ran_any());
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        for cut in 0..OUTPUT.len() {
            let mut tally = Tally::default();
            let (head, tail) = OUTPUT.as_bytes().split_at(cut);
            tally.feed(head);
            tally.feed(tail);
            assert_eq!((tally.passed, tally.failed, tally.ignored), (5, 1, 4));
        }
    }

    #[test]
    fn other_lines_that_speak_of_passing_do_not_count() {
        let mut tally = Tally::default();
        tally.feed(b"7 passed; not a result line\nnote: test result: ok. 1 passed\n");
        assert_eq!(tally, Tally::default());
        assert!(!tally.ran_any());
    }
}
