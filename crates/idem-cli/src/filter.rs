//! [`Filter`]: which records a listing has.

use std::time::Duration;

use idem_core::{RecordKey, store::Stored};

use crate::{
    audit,
    cli::FilterArgs,
    record::{Standing, age},
};

/// Applied to each record that was read; the records of the audit never pass.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    states: Vec<Standing>,
    scope: Option<Within>,
    older: Option<Duration>,
    newer: Option<Duration>,
    attempts: Option<u32>,
}

/// One scope, or it and all below it.
#[derive(Debug)]
pub(crate) enum Within {
    Only(String),
    Under(String),
}

impl Within {
    pub(crate) fn holds(&self, scope: &str) -> bool {
        match self {
            Self::Only(only) => scope == only,
            Self::Under(top) if top.is_empty() => true,
            Self::Under(top) => scope
                .strip_prefix(top.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

impl Filter {
    pub(crate) fn of(args: &FilterArgs) -> Self {
        let only = args.scope.clone().map(Within::Only);
        Self {
            states: args.state.clone(),
            scope: only.or_else(|| args.under.clone().map(Within::Under)),
            older: args.older,
            newer: args.newer,
            attempts: args.attempts,
        }
    }

    pub(crate) fn within(scope: Within) -> Self {
        Self {
            scope: Some(scope),
            ..Self::default()
        }
    }

    pub(crate) fn passes(&self, key: &RecordKey, stored: &Stored) -> bool {
        let age = age(stored);
        !audit::is_entry(key)
            && (self.states.is_empty() || self.states.contains(&Standing::of(stored)))
            && self
                .scope
                .as_ref()
                .is_none_or(|scope| scope.holds(key.scope()))
            && self.older.is_none_or(|older| age >= older)
            && self.newer.is_none_or(|newer| age <= newer)
            && self
                .attempts
                .is_none_or(|least| stored.record.attempt >= least)
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
