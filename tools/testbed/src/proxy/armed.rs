//! Rules in force.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Fault, Rule, counts::Counters, wire::Request};

/// The rules of one proxy that are in force, in the order in which they were armed, and what they
/// did.
#[derive(Debug, Default)]
pub(super) struct Plan {
    rules: Mutex<Vec<Arc<Verdict>>>,
    pub(super) counters: Counters,
}

impl Plan {
    pub(super) fn arm(self: &Arc<Self>, rule: Rule) -> Armed {
        let verdict = Arc::new(Verdict::of(rule));
        self.rules().push(Arc::clone(&verdict));
        Armed {
            verdict,
            plan: Arc::clone(self),
        }
    }

    /// What is to happen to `request`: the first rule that fits and is not used up has it.
    pub(super) fn judge(&self, request: &Request) -> Option<Arc<Verdict>> {
        let rules = self.rules();
        rules.iter().find(|rule| rule.befalls(request)).cloned()
    }

    /// Notes that `verdict` is being carried out.
    pub(super) fn carried_out(&self, verdict: &Verdict) {
        self.counters.fault(verdict.rule.fault);
        verdict.hits.send_modify(|hits| *hits += 1);
    }

    pub(super) fn clear(&self) {
        for verdict in self.rules().drain(..) {
            verdict.released.send_replace(true);
        }
    }

    fn release(&self, released: &Arc<Verdict>) {
        self.rules().retain(|rule| !Arc::ptr_eq(rule, released));
        released.released.send_replace(true);
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Arc<Verdict>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rule with the state of its use.
#[derive(Debug)]
pub(super) struct Verdict {
    rule: Rule,
    fitted: Mutex<u64>,
    hits: watch::Sender<u64>,
    released: watch::Sender<bool>,
}

impl Verdict {
    fn of(rule: Rule) -> Self {
        Self {
            rule,
            fitted: Mutex::new(0),
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }
    }

    pub(super) fn fault(&self) -> Fault {
        self.rule.fault
    }

    /// Returns once the rule is not in force any more.
    pub(super) async fn released(&self) {
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }

    /// Counts `request` in if it fits, and tells whether it is neither too early nor too late.
    fn befalls(&self, request: &Request) -> bool {
        if !self.rule.fits(request) {
            return false;
        }
        let mut fitted = self.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        *fitted += 1;
        let last = self
            .rule
            .times
            .map_or(u64::MAX, |times| self.rule.skip.saturating_add(times));
        *fitted > self.rule.skip && *fitted <= last
    }
}

/// A rule that was armed. Dropping this leaves the rule in force.
#[derive(Debug, Clone)]
pub struct Armed {
    verdict: Arc<Verdict>,
    plan: Arc<Plan>,
}

impl Armed {
    /// How often the fault has happened. A held request counts from when it is held, a lost reply
    /// from when the server had answered.
    #[must_use]
    pub fn hits(&self) -> u64 {
        *self.verdict.hits.borrow()
    }

    /// Returns once the fault has happened `hits` times.
    ///
    /// Dropping the future changes nothing.
    pub async fn wait_for_hits(&self, hits: u64) {
        let mut seen = self.verdict.hits.subscribe();
        let _ = seen.wait_for(|seen| *seen >= hits).await;
    }

    /// Takes the rule out of force, and lets go on what it holds.
    pub fn release(&self) {
        self.plan.release(&self.verdict);
    }
}
