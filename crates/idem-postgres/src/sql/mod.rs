//! The statements, written for the schema `idem`.
//!
//! Each is one statement and so one transaction of its own. Each answers in the rows that
//! [`rows`](crate::rows) reads: one with a NULL `status` for "done", else the record that was found.
//! There are two of each kind: for one call, and for many at once. Of many calls, a row with the
//! number 0 says "done" of all that no other row is about.
//!
//! A row that a statement sees past its ttl may have an update under way that read the clock in
//! time and is slow to commit, by a standby that confirms it late, say. So whoever would say
//! "absent" (S5) of a row that is there locks it first, and whoever updates it reads the clock once
//! more behind the lock: of the two, the one that has the lock later knows what the other did. A
//! statement that saw such a row without its lock answers with it, and that is
//! [`Answer::Expired`](idem_sql::batch::Answer::Expired): nothing is known yet.

#[macro_use]
mod parts;
#[macro_use]
mod many;
mod claim;
mod create;
mod end;
mod read;
mod replace;
mod sweep;

use std::sync::Arc;

use crate::config::Schema;
use claim::{CLAIM, CLAIM_IN_TX, CLAIM_MANY};
use create::{CREATE, CREATE_IN_TX, CREATE_MANY};
use end::{END, END_IN_TX, END_MANY, END_OWN_IN_TX};
use read::{BROWSE, GET, GET_DECIDED, GET_MANY, LOCK};
use replace::{DELETE, DELETE_MANY, UPDATE, UPDATE_IN_TX, UPDATE_MANY};
use sweep::{SWEEP, SWEEP_TURN};

/// A kind of statement: for one call, and for many.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) one: Arc<str>,
    pub(crate) many: Arc<str>,
}

/// The statements for one schema.
#[derive(Debug, Clone)]
pub(crate) struct Statements {
    pub(crate) claim: Statement,
    pub(crate) create: Statement,
    pub(crate) end: Statement,
    pub(crate) update: Statement,
    pub(crate) delete: Statement,
    pub(crate) get: Statement,
    pub(crate) get_decided: Arc<str>,
    pub(crate) claim_in_tx: Arc<str>,
    pub(crate) create_in_tx: Arc<str>,
    pub(crate) update_in_tx: Arc<str>,
    pub(crate) end_in_tx: Arc<str>,
    pub(crate) end_own_in_tx: Arc<str>,
    pub(crate) lock: Arc<str>,
    pub(crate) browse: Arc<str>,
    pub(crate) sweep: Arc<str>,
    pub(crate) sweep_turn: Arc<str>,
}

impl Statements {
    pub(crate) fn new(schema: &Schema) -> Self {
        let only = |sql| Arc::from(schema.apply(sql));
        let of = |one, many| Statement {
            one: only(one),
            many: only(many),
        };
        Self {
            claim: of(CLAIM, CLAIM_MANY),
            create: of(CREATE, CREATE_MANY),
            end: of(END, END_MANY),
            update: of(UPDATE, UPDATE_MANY),
            delete: of(DELETE, DELETE_MANY),
            get: of(GET, GET_MANY),
            get_decided: only(GET_DECIDED),
            claim_in_tx: only(CLAIM_IN_TX),
            create_in_tx: only(CREATE_IN_TX),
            update_in_tx: only(UPDATE_IN_TX),
            end_in_tx: only(END_IN_TX),
            end_own_in_tx: only(END_OWN_IN_TX),
            lock: only(LOCK),
            browse: only(BROWSE),
            sweep: only(SWEEP),
            sweep_turn: only(SWEEP_TURN),
        }
    }
}
