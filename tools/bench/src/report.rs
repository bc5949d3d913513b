//! Rows, as a table for people and as JSON for tools; and how far the run has come.

use std::{fmt::Write, fs, num::NonZeroUsize, path::Path, time::Duration};

use anyhow::{Context, Result};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::measure::{Measured, Plan};

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Row {
    pub(crate) suite: String,
    pub(crate) case: String,
    pub(crate) concurrency: usize,
    #[serde(default)]
    pub(crate) ops_per_s: f64,
    #[serde(default)]
    pub(crate) floor_ops_per_s: f64,
    pub(crate) ratio: f64,
    #[serde(default)]
    pub(crate) p50_us: f64,
    #[serde(default)]
    pub(crate) p99_us: f64,
}

impl Report {
    /// What an earlier run wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn add(
        &mut self,
        suite: &'static str,
        case: &'static str,
        concurrency: NonZeroUsize,
        measured: &Measured,
    ) {
        self.rows.push(Row {
            suite: suite.to_owned(),
            case: case.to_owned(),
            concurrency: concurrency.get(),
            ops_per_s: rounded(measured.ops_per_s, 1.0),
            floor_ops_per_s: rounded(measured.floor_ops_per_s, 1.0),
            ratio: rounded(measured.ratio, 1000.0),
            p50_us: micros(measured.p50),
            p99_us: micros(measured.p99),
        });
    }

    pub(crate) fn table(&self) -> String {
        let heads = [
            "suite",
            "case",
            "tasks",
            "ops/s",
            "floor ops/s",
            "ratio",
            "p50 µs",
            "p99 µs",
        ];
        let mut lines = vec![heads.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        aligned(&lines)
    }
}

impl Row {
    fn cells(&self) -> [String; 8] {
        [
            self.suite.clone(),
            self.case.clone(),
            self.concurrency.to_string(),
            format!("{:.0}", self.ops_per_s),
            format!("{:.0}", self.floor_ops_per_s),
            format!("{:.2}", self.ratio),
            format!("{:.1}", self.p50_us),
            format!("{:.1}", self.p99_us),
        ]
    }
}

/// Names to the left, figures to the right.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let mut table = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            let (gap, width) = (if column == 0 { "" } else { "  " }, width(column));
            let written = match column {
                0 | 1 => write!(table, "{gap}{cell:<width$}"),
                _ => write!(table, "{gap}{cell:>width$}"),
            };
            written.expect("a string takes all that is written to it");
        }
        table.push('\n');
    }
    table
}

fn micros(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6, 1000.0)
}

fn rounded(figure: f64, steps: f64) -> f64 {
    (figure * steps).round() / steps
}

/// A bar on stderr, gone when the run is over; nothing where stderr is no terminal.
pub(crate) struct Progress(ProgressBar);

const STEPS: u64 = 1000;

pub(crate) fn progress() -> Progress {
    let style = ProgressStyle::with_template("{msg:30} {bar:40} {percent:>3} %")
        .expect("the template is well-formed");
    Progress(ProgressBar::new(STEPS).with_style(style))
}

impl Progress {
    pub(crate) fn start(&self, suite: &str, case: &str, plan: Plan) {
        self.0.reset();
        self.0
            .set_message(format!("{suite} {case}, {} tasks", plan.concurrency));
    }

    /// How much of the row's time is over, from 0 to 1.
    pub(crate) fn at(&self, share: f64) {
        self.0
            .set_position((share * STEPS as f64).min(STEPS as f64) as u64);
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_fields_that_tools_read_and_columns_line_up() {
        let mut report = Report::default();
        let measured = Measured {
            ops_per_s: 1_234_567.8,
            floor_ops_per_s: 2_000_000.0,
            ratio: 0.617_28,
            p50: Duration::from_nanos(1500),
            p99: Duration::from_micros(20),
        };
        report.add("memory", "fresh", NonZeroUsize::MIN, &measured);
        let json = serde_json::to_value(&report).unwrap();
        let expected = serde_json::json!({"rows": [{
            "suite": "memory", "case": "fresh", "concurrency": 1, "ops_per_s": 1_234_568.0,
            "floor_ops_per_s": 2_000_000.0, "ratio": 0.617, "p50_us": 1.5, "p99_us": 20.0,
        }]});
        assert_eq!(json, expected);

        let table = report.table();
        let widths: Vec<_> = table.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths.len(), 2);
        assert_eq!(widths[0], widths[1], "{table}");
    }
}
