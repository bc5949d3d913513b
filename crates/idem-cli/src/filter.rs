//! [`Filter`]: which records a listing has.

use idem_core::{
    RecordKey,
    store::{self, StateKind, Stored, Within},
};

use crate::{
    audit,
    cli::FilterArgs,
    record::{Standing, age},
};

/// What the store is asked for, and what it cannot tell; the records of the audit never pass.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) asked: store::Filter,
    states: Vec<Standing>,
}

impl Filter {
    pub(crate) fn of(args: &FilterArgs) -> Self {
        let only = args.scope.clone().map(Within::Only);
        let mut states = Vec::new();
        for standing in &args.state {
            let kind = match standing {
                Standing::InFlight | Standing::Abandoned | Standing::Halted => StateKind::InFlight,
                Standing::Retryable => StateKind::Retryable,
                Standing::Released => StateKind::Released,
                Standing::Completed => StateKind::Completed,
                Standing::Failed => StateKind::Failed,
            };
            if !states.contains(&kind) {
                states.push(kind);
            }
        }
        Self {
            asked: store::Filter {
                states,
                within: only.or_else(|| args.under.clone().map(Within::Under)),
                older: args.older,
                newer: args.newer,
                attempts: args.attempts,
            },
            states: args.state.clone(),
        }
    }

    pub(crate) fn within(scope: Within) -> Self {
        let asked = store::Filter {
            within: Some(scope),
            ..store::Filter::default()
        };
        Self {
            asked,
            ..Self::default()
        }
    }

    /// Of the records that the store lists for it.
    pub(crate) fn passes(&self, key: &RecordKey, stored: &Stored) -> bool {
        let age = age(stored);
        !audit::is_entry(key)
            && (self.states.is_empty() || self.states.contains(&Standing::of(stored)))
            && self.asked.older.is_none_or(|older| age >= older)
            && self.asked.newer.is_none_or(|newer| age <= newer)
    }
}
