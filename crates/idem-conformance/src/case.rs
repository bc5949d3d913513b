//! [`Case`]: one clause of the contract as a function.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{
    Harness,
    call::scaled,
    follow::{Calls, Followed},
};

/// How long a case may take. Far more than the slowest needs: whatever is not over by then hangs.
pub(crate) const HUNG: Duration = Duration::from_secs(300);

/// How a case ends that does not panic: passed, or skipped.
pub type Verdict = Result<(), Skipped>;

/// A case that could not run, and why. It is neither passed nor failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a skipped case has to be reported"]
pub struct Skipped {
    why: Cow<'static, str>,
}

impl Skipped {
    /// Skipped for this reason, which completes the sentence `skipped, because …`.
    pub fn because(why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: why.into() }
    }

    /// The reason.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped, because {}", self.why)
    }
}

impl std::error::Error for Skipped {}

/// Unwraps a capability, or skips the case.
pub(crate) fn needs<T>(capability: Option<T>, what: &'static str) -> Result<T, Skipped> {
    capability.ok_or_else(|| Skipped::because(format!("the harness offers no {what}")))
}

/// One clause of the contract.
#[derive(Clone, Copy)]
pub struct Case {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, Verdict>,
}

impl Case {
    /// What the case is about: the module of [`cases`](crate::cases) that it stands in.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.group
    }

    /// The name of the function and of the test.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The rule that the case states: `S1` to `S10` of [`Store`](idem_core::store::Store), `G1` to `G6` of
    /// the engine, or the optional trait: `Watch`, `Sweep`, `Browse`.
    #[must_use]
    pub fn rule(&self) -> String {
        rule(self.name)
    }

    /// Runs the case on the current tokio runtime, for five minutes at most
    /// (times [`Harness::time_scale`]).
    ///
    /// A store that blocks its thread blocks this call as well; the tests of
    /// [`suite!`](crate::suite) end even then.
    ///
    /// # Errors
    /// [`Skipped`] when the harness lacks what the case needs.
    ///
    /// # Panics
    /// When the store breaks the rule, or the time is over: then the message names the calls that are
    /// waited for.
    pub async fn run(&self, harness: &dyn Harness) -> Verdict {
        self.run_followed(harness, Arc::default()).await
    }

    pub(crate) async fn run_followed(&self, harness: &dyn Harness, calls: Arc<Calls>) -> Verdict {
        let limit = scaled(harness, HUNG);
        let followed = Followed::new(harness, Arc::clone(&calls));
        // Not dropped before it is asked what it waits for.
        let mut run = (self.run)(&followed);
        match tokio::time::timeout(limit, &mut run).await {
            Ok(verdict) => verdict,
            Err(_) => panic!("{}", self.hung(limit, &calls)),
        }
    }

    /// What is said of a case that does not end.
    pub(crate) fn hung(&self, limit: Duration, calls: &Calls) -> String {
        let waiting = calls.waiting();
        format!("{}: no end within {limit:?}, {waiting}", self.rule())
    }
}

/// The rule in front of a case's name.
pub(crate) fn rule(name: &str) -> String {
    let prefix = name.split('_').next().unwrap_or_default();
    let mut letters = prefix.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.group, self.name)
    }
}
