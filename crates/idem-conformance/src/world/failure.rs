//! [`Failure`]: a broken promise, and how it came to it.

use std::{fmt, time::Duration};

use super::Plan;

/// A promise that was broken in a run.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// The plan, which breaks it every time.
    pub plan: Box<Plan>,
    /// Which promise, and how.
    pub broken: String,
    /// What happened, line by line.
    pub timeline: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.broken)?;
        for line in &self.timeline {
            writeln!(f, "{line}")?;
        }
        write!(f, "\n{:#?}", self.plan)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// Collects lines while somebody wants them.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    wanted: bool,
    lines: Vec<(Duration, String)>,
}

impl Timeline {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            lines: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, at: Duration, who: &str, what: impl FnOnce() -> String) {
        if self.wanted {
            let line = format!("{:>9.3} s  {who:<12} {}", at.as_secs_f64(), what());
            self.lines.push((at, line));
        }
    }

    /// In the order of their times: some were noted late.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
