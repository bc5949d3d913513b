//! One order for all that clients were told, by the search of `idem-conformance`.
//!
//! It alone catches an answer to a holder or an operator that no order of claims and endings allows: a
//! release that is called made although another had taken the key over, or an execution that is called
//! superseded by nobody. It knows neither failovers nor ages, and may give up on a history that is too
//! entangled. The store's calls need no search: their versions say in which order they came (a test
//! compares the two).

mod clients;

use std::time::Duration;

use idem_conformance::history::{Limit, Violation, check as search};

use self::clients::Clients;
use super::{Findings, Rule, Rules};
use crate::{clock::Nanos, history::History, key::KeyId};

/// Configurations to try for one order. An order that there is is mostly found within a few thousand.
pub(super) const LIMIT: Limit = Limit {
    configurations: 200_000,
};

/// Looks for the order, and says how often it gave up on it: once or never.
pub(super) fn check(key: KeyId, history: &History, rules: &Rules, found: &mut Findings) -> u64 {
    let clients = Clients::of(key, Duration::from_nanos(rules.slack));
    match search(&clients, &clients::calls(key, history), LIMIT) {
        Ok(()) => 0,
        Err(Violation::Inexplicable(stuck)) => {
            let at = history.questions.first().map_or(0, |first| first.asked);
            let what = format!("no order of all answers explains them:\n{stuck}");
            found.add(Rule::Search, at, what);
            0
        }
        Err(_) => 1,
    }
}

pub(super) fn time(at: Nanos) -> Duration {
    Duration::from_nanos(at)
}
