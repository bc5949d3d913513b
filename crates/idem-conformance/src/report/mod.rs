//! [`Report`]: which store kept which rule, from a run.

mod file;
mod table;

use crate::{Skipped, Verdict};

pub(crate) use file::note;

/// Which store kept which rule, from a run. Printed as one table in Markdown, store × rule; below it
/// what failed, what was skipped, and what no case can show ([`NOT_SHOWN`]).
///
/// Let the tests of [`suite!`](crate::suite) write it: with `IDEM_CONFORMANCE_REPORT=report.tsv` in
/// the environment they append to that file, from any number of processes, and [`read`](Self::read)
/// reads it. Or run [`all`](crate::all) cases yourself and collect their results.
///
/// ```no_run
/// use idem_conformance::Report;
///
/// let report = Report::read("report.tsv")?;
/// println!("{report}");
/// assert!(report.is_clean());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    results: Vec<CaseResult>,
}

/// What no case can show, whatever the harness offers. A report says so below its table.
pub const NOT_SHOWN: [&str; 6] = [
    "Error mapping behind `FaultStore`: its faults strike above the store, so what the store makes of \
     a lost connection is not seen. A proxy in front of the server shows it.",
    "A `restart()` that does nothing, where the harness gives no name for a run of its server; and a \
     restart within one process: whatever a process keeps in memory is still there.",
    "A power cut: a restarted server may have kept in the system's cache what a disk would have lost.",
    "Faults between processes where `store()` gives one handle again and again, or handles that share \
     a lock, a cache or a clock. A clock of one process shows where the harness gives a handle of \
     another one (`elsewhere`).",
    "A clock that steps, where the harness cannot let one step (`clock`). A server that measures ages \
     by its wall clock tells wrong ones after a step: no case asks that of it.",
    "A ttl that is cut short by hours or days, where the store does not tell the time left.",
];

/// How one case ended on one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// [`Harness::name`](crate::Harness::name).
    pub store: String,
    /// [`Case::group`](crate::Case::group).
    pub group: String,
    /// [`Case::name`](crate::Case::name).
    pub case: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rule was kept.
    Passed,
    /// The rule was broken, and how.
    Failed(String),
    /// The case could not run, and why.
    Skipped(String),
}

impl Report {
    /// How every case ended, in the order of the run.
    #[must_use]
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// Whether nothing failed. Skipped cases do not count as failed; they are listed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let failed = |result: &CaseResult| matches!(result.outcome, Outcome::Failed(_));
        !self.results.iter().any(failed)
    }
}

impl Extend<CaseResult> for Report {
    fn extend<I: IntoIterator<Item = CaseResult>>(&mut self, results: I) {
        self.results.extend(results);
    }
}

impl FromIterator<CaseResult> for Report {
    fn from_iter<I: IntoIterator<Item = CaseResult>>(results: I) -> Self {
        Self {
            results: results.into_iter().collect(),
        }
    }
}

impl IntoIterator for Report {
    type Item = CaseResult;
    type IntoIter = std::vec::IntoIter<CaseResult>;

    fn into_iter(self) -> Self::IntoIter {
        self.results.into_iter()
    }
}

impl CaseResult {
    /// The rule that the case states; see [`Case::rule`](crate::Case::rule).
    #[must_use]
    pub fn rule(&self) -> String {
        crate::case::rule(&self.case)
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Passed,
            Err(skipped) => Self::from(skipped),
        }
    }
}

impl From<Skipped> for Outcome {
    fn from(skipped: Skipped) -> Self {
        Self::Skipped(skipped.why().to_owned())
    }
}
