//! [`Filter`]: which records a listing has.

use std::time::Duration;

use crate::{
    RecordKey,
    store::{StateKind, Stored},
};

/// Which records [`Browse`](crate::store::Browse) lists: those that pass all
/// parts of it. By default every record does.
///
/// ```
/// use std::time::Duration;
/// use idem_core::store::{Filter, StateKind, Within};
///
/// // In flight, in one merchant's scopes, and not written for an hour.
/// let filter = Filter {
///     states: vec![StateKind::InFlight],
///     within: Some(Within::Under("merchant-7".to_owned())),
///     older: Some(Duration::from_secs(3600)),
///     ..Filter::default()
/// };
/// # let _ = filter;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In one of these states; in any where there are none.
    pub states: Vec<StateKind>,
    /// In these scopes.
    pub within: Option<Within>,
    /// Last written so long ago, or longer.
    pub older: Option<Duration>,
    /// Last written within this time.
    pub newer: Option<Duration>,
    /// Claimed so many times, or more.
    pub attempts: Option<u32>,
}

/// One scope, or it and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// The scope of this text.
    Only(String),
    /// It, and all below it. Every scope is below the global one, whose text is empty.
    Under(String),
}

impl Filter {
    /// Whether a record in this state may pass.
    #[must_use]
    pub fn takes(&self, state: StateKind) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether a record in this scope may pass.
    #[must_use]
    pub fn takes_scope(&self, scope: &str) -> bool {
        self.within
            .as_ref()
            .is_none_or(|within| within.holds(scope))
    }

    /// Whether this record passes. One whose age the store does not tell has any age.
    #[must_use]
    pub fn passes(&self, key: &RecordKey, stored: &Stored) -> bool {
        let age = stored.age;
        let record = &stored.record;
        self.takes(record.state.kind())
            && self.takes_scope(key.scope())
            && self.attempts.is_none_or(|least| record.attempt >= least)
            && age.is_none_or(|age| {
                self.older.is_none_or(|older| age >= older)
                    && self.newer.is_none_or(|newer| age <= newer)
            })
    }
}

impl Within {
    /// Whether a scope of this text is among them.
    #[must_use]
    pub fn holds(&self, scope: &str) -> bool {
        match self {
            Self::Only(only) => scope == only,
            Self::Under(top) if top.is_empty() => true,
            Self::Under(top) => scope
                .strip_prefix(top.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_holds_itself_and_what_is_below_it() {
        let under = Within::Under("merchant-7".to_owned());
        assert!(under.holds("merchant-7") && under.holds("merchant-7/refunds"));
        assert!(!under.holds("merchant-70") && !under.holds(""));
        let only = Within::Only("merchant-7".to_owned());
        assert!(only.holds("merchant-7") && !only.holds("merchant-7/refunds"));
        assert!(Within::Under(String::new()).holds("anything"));
    }
}
