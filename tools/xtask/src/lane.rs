//! Lanes: named steps with a result, a duration and a row in the closing table.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How a lane ended; the text says what was seen, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed(String),
    Skipped(String),
    Failed(String),
}

impl Outcome {
    pub(crate) fn passed() -> Self {
        Self::Passed(String::new())
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "FAILED",
        }
    }

    pub(crate) fn remark(&self) -> &str {
        match self {
            Self::Passed(remark) | Self::Skipped(remark) | Self::Failed(remark) => remark,
        }
    }
}

struct Row {
    name: String,
    outcome: Outcome,
    took: Duration,
}

/// The lanes run so far, and lines to print beneath their table.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    closing: Vec<String>,
}

impl Report {
    /// Runs `work` as the lane `name`. A failure is printed at once and the next lane still runs.
    pub(crate) fn lane(&mut self, name: &str, work: impl FnOnce() -> Result<Outcome>) {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let outcome = work().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        if !matches!(outcome, Outcome::Passed(_)) {
            eprintln!("== {name} {}: {}", outcome.word(), outcome.remark());
        }
        self.rows.push(Row {
            name: name.to_owned(),
            outcome,
            took: start.elapsed(),
        });
    }

    /// A line to stand beneath the table.
    pub(crate) fn close_with(&mut self, line: String) {
        self.closing.push(line);
    }

    /// Prints the table, if any lane ran.
    pub(crate) fn print(&self) {
        if self.rows.is_empty() {
            return;
        }
        println!("\n{}", self.table());
        for line in &self.closing {
            println!("{line}");
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.failed() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn failed(&self) -> bool {
        self.rows
            .iter()
            .any(|row| matches!(row.outcome, Outcome::Failed(_)))
    }

    fn table(&self) -> String {
        let width = self
            .rows
            .iter()
            .map(|row| row.name.chars().count())
            .chain(["lane".len()])
            .max()
            .unwrap_or_default();
        let mut table = format!("{:width$}  {:7}  {:>8}", "lane", "result", "time");
        for row in &self.rows {
            let took = seconds(row.took);
            let word = row.outcome.word();
            // Of a long reason the first line is enough here: the whole was printed when it came.
            let remark = row.outcome.remark().lines().next().unwrap_or_default();
            let line = format!("{:width$}  {word:7}  {took:>8}  {remark}", row.name);
            let _ = write!(table, "\n{}", line.trim_end());
        }
        table
    }
}

fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failed_lane_fails_the_report_and_later_lanes_still_run() {
        let mut report = Report::default();
        report.lane("first", || Err(anyhow!("broken")));
        report.lane("second", || Ok(Outcome::passed()));
        assert!(report.failed());
        let table = report.table();
        assert!(table.contains("FAILED"), "{table}");
        assert!(table.contains("broken"), "{table}");
        assert!(
            table.lines().any(|line| line.starts_with("second  passed")),
            "{table}"
        );
    }

    #[test]
    fn a_skipped_lane_does_not_fail_and_says_why() {
        let mut report = Report::default();
        report.lane("deny", || {
            Ok(Outcome::Skipped("cargo-deny is absent".to_owned()))
        });
        assert!(!report.failed());
        assert!(report.table().contains("cargo-deny is absent"));
    }

    #[test]
    fn the_cause_of_a_failure_is_kept() {
        let mut report = Report::default();
        report.lane("outer", || Err(anyhow!("cause").context("what failed")));
        assert!(report.table().contains("what failed: cause"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(605)), "10 min 05 s");
    }
}
