//! What is told at the end.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use crate::{campaign::Outcome, check::Violation};

/// How many violations of one deployment are shown.
const SHOWN: usize = 20;

/// All deployments of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(String, Row)>,
    faults: BTreeMap<String, u64>,
}

#[derive(Debug)]
enum Row {
    Ran(Outcome),
    Skipped(String),
    Failed(String),
}

impl Report {
    pub(crate) fn ran(&mut self, name: String, outcome: Outcome) {
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        self.rows.push((name, Row::Ran(outcome)));
    }

    pub(crate) fn skipped(&mut self, name: String, reason: String) {
        self.rows.push((name, Row::Skipped(reason)));
    }

    pub(crate) fn failed(&mut self, name: String, reason: String) {
        self.rows.push((name, Row::Failed(reason)));
    }

    /// Whether all that ran kept its promises.
    pub(crate) fn is_clean(&self) -> bool {
        self.rows.iter().all(|(_, row)| match row {
            Row::Ran(outcome) => outcome.verdict.violations.is_empty(),
            Row::Skipped(_) => true,
            Row::Failed(_) => false,
        })
    }

    /// The whole report.
    pub(crate) fn text(&self) -> String {
        let mut text = self.table();
        text.push_str(&self.struck());
        for (name, row) in &self.rows {
            match row {
                Row::Ran(outcome) => text.push_str(&violations(name, &outcome.verdict.violations)),
                Row::Skipped(reason) => {
                    let _ = writeln!(text, "{name}: skipped, because {reason}");
                }
                Row::Failed(reason) => {
                    let _ = writeln!(text, "{name}: FAILED: {reason}");
                }
            }
        }
        text
    }

    fn table(&self) -> String {
        let head = [
            "store",
            "keys",
            "histories",
            "questions",
            "unknown",
            "store calls",
            "executions",
            "takeovers",
            "faults",
            "kinds",
            "lost acks",
            "violations",
            "time",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        let mut sums = [0; 11];
        for (name, row) in &self.rows {
            if let Row::Ran(outcome) = row {
                let figures = figures(outcome);
                for (sum, figure) in sums.iter_mut().zip(figures) {
                    *sum += figure;
                }
                let seconds = format!("{:.0} s", outcome.took.as_secs_f64());
                rows.push(line(name, figures, seconds));
            }
        }
        if rows.len() > 2 {
            // Kinds of several deployments are not to be added up.
            sums[8] = self.faults.len() as u64;
            rows.push(line("all", sums, String::new()));
        }
        aligned(&rows)
    }

    fn struck(&self) -> String {
        let mut text = String::from("\nfaults that struck:\n");
        for (kind, count) in &self.faults {
            let _ = writeln!(text, "{count:>9}  {kind}");
        }
        text
    }
}

fn figures(outcome: &Outcome) -> [u64; 11] {
    let verdict = &outcome.verdict;
    let tally = &verdict.tally;
    [
        tally.keys,
        tally.histories,
        tally.questions,
        tally.unknown,
        tally.calls,
        tally.executions,
        tally.takeovers,
        outcome.faults.values().sum(),
        outcome.faults.len() as u64,
        verdict.lost_acknowledgements,
        verdict.violations.len() as u64,
    ]
}

fn line(name: &str, figures: [u64; 11], time: String) -> [String; 13] {
    let mut line = [const { String::new() }; 13];
    line[0] = name.to_owned();
    for (cell, figure) in line[1..].iter_mut().zip(figures) {
        *cell = figure.to_string();
    }
    line[12] = time;
    line
}

fn aligned(rows: &[[String; 13]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..13).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row[1..].iter().zip(&widths[1..]) {
            let _ = write!(line, "  {cell:>width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn violations(name: &str, violations: &[Violation]) -> String {
    let mut text = String::new();
    for violation in violations.iter().take(SHOWN) {
        let _ = writeln!(text, "{name}: {violation}");
    }
    if violations.len() > SHOWN {
        let _ = writeln!(text, "{name}: and {} more", violations.len() - SHOWN);
    }
    text
}

/// How to look into it once more.
pub(crate) fn how_to_look(folder: &Path, seed: u64) -> String {
    format!(
        "the histories are kept in {}; look again with `idem-torture check FOLDER/STORE`, \
         and run again with --seed {seed}",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::{Rule, Verdict};

    fn outcome(violations: Vec<Violation>) -> Outcome {
        Outcome {
            verdict: Verdict {
                violations,
                ..Verdict::default()
            },
            faults: BTreeMap::from([("reply lost".to_owned(), 3)]),
            took: Duration::from_secs(2),
        }
    }

    #[test]
    fn a_run_without_violations_is_clean_and_one_that_was_skipped_is_named() {
        let mut report = Report::default();
        report.ran("redis".to_owned(), outcome(Vec::new()));
        report.skipped("postgres".to_owned(), "it is not here".to_owned());
        assert!(report.is_clean());
        let text = report.text();
        assert!(text.contains("3  reply lost"), "{text}");
        assert!(text.contains("postgres: skipped, because it is not here"));
    }

    #[test]
    fn a_violation_is_shown_and_not_clean() {
        let mut report = Report::default();
        let violation = Violation {
            rule: Rule::G2,
            key: None,
            at: 1,
            what: "two answers".to_owned(),
        };
        report.ran("redis".to_owned(), outcome(vec![violation; 30]));
        assert!(!report.is_clean());
        let text = report.text();
        assert!(
            text.contains("redis: G2 broken at 1: two answers"),
            "{text}"
        );
        assert!(text.contains("and 10 more"), "{text}");
    }

    #[test]
    fn a_campaign_that_broke_down_is_not_clean() {
        let mut report = Report::default();
        report.failed("redis".to_owned(), "it did not start".to_owned());
        assert!(!report.is_clean());
        assert!(report.text().contains("FAILED: it did not start"));
    }
}
