//! [`Report`]: which store kept which rule, from a run.

mod file;
mod table;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::{Case, Harness, Skipped, Verdict, call::scaled, suite::HUNG};

pub(crate) use file::note;

/// Which store kept which rule, from a run. Printed as one table in Markdown, store × rule, and
/// what was skipped and what failed below it.
///
/// Run it yourself with [`run`](Self::run), or let the tests of [`suite!`](crate::suite) write it:
/// with `IDEM_CONFORMANCE_REPORT=report.tsv` in the environment they append to that file, from any
/// number of processes, and [`read`](Self::read) reads it.
///
/// ```
/// # use std::sync::Arc;
/// # use idem_conformance::{Harness, async_trait};
/// # struct MyHarness;
/// # #[async_trait]
/// # impl Harness for MyHarness {
/// #     fn name(&self) -> String { "mine".to_owned() }
/// #     async fn store(&self) -> Arc<dyn idem_core::Store> { unreachable!() }
/// # }
/// # async fn example() {
/// use idem_conformance::Report;
///
/// let report = Report::run(&MyHarness).await;
/// println!("{report}");
/// assert!(report.is_clean());
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    results: Vec<CaseResult>,
}

/// How one case ended on one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// [`Harness::name`].
    pub store: String,
    /// [`Case::group`].
    pub group: String,
    /// [`Case::name`].
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
    /// Runs every case, one after the other. A case that fails does not end the run.
    pub async fn run(harness: &dyn Harness) -> Self {
        let mut results = Vec::new();
        for case in crate::all() {
            results.push(CaseResult {
                store: harness.name(),
                group: case.group().to_owned(),
                case: case.name().to_owned(),
                outcome: ended(case, harness).await,
            });
        }
        Self { results }
    }

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
    /// The rule that the case states; see [`Case::rule`].
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

async fn ended(case: &Case, harness: &dyn Harness) -> Outcome {
    let limit = scaled(harness, HUNG);
    let run = AssertUnwindSafe(case.run(harness)).catch_unwind();
    match tokio::time::timeout(limit, run).await {
        Ok(Ok(verdict)) => Outcome::from(verdict),
        Ok(Err(panic)) => Outcome::Failed(message(&*panic)),
        Err(_) => Outcome::Failed(format!("no end within {limit:?}")),
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
