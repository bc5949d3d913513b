//! Every decision of the protocol, as pure functions: no clock, no I/O, no randomness.
//!
//! A claimer makes a [`Request`], a store answers with what it found, and [`decide`] says what to
//! do next. A holder keeps a [`Holding`] and asks it for the next [`Write`]. Time comes in only as
//! [`Stored::age`](crate::Stored), measured by the store's clock: a lease has run out when
//! `age >= lease`.
//!
//! # Transitions
//!
//! | found | a claim with the same fingerprint | with another | the holder |
//! |---|---|---|---|
//! | nothing | becomes *in flight*, attempt 1 | – | is told `Superseded` |
//! | in flight, lease running | is told *busy* | is told *mismatch* | renews, checkpoints, ends |
//! | in flight, lease over | takes over, attempt + 1 (`Reclaim`); is told *abandoned* (`Halt`) | *mismatch* | the same, as long as nobody took over |
//! | retryable | takes over, attempt + 1 | *mismatch* | is told `Superseded` |
//! | completed | *replay* | *mismatch* | is told `Superseded`; its own ending *landed* |
//! | failed | *replay of the failure* | *mismatch* | as above |
//!
//! Any state, past its ttl, is *nothing*. The checkpoint survives renewals, take-overs and
//! retryable endings. Attempts past the limit are told *exhausted*.
//!
//! # Lost replies
//! A write carries a version that no other write has, so it may be sent again: a claimer that
//! finds its own token has the claim ([`Decision::Own`]), a holder that finds the version it was
//! about to write has written it ([`Settled::Landed`]). A create that is sent again gets a new
//! revision ([`first`]), because two creates, unlike two copies of any other write, can both be
//! applied.

mod claim;
mod holding;
mod resolve;

pub use claim::{Decision, LapsedRule, Request, decide, first, settle_abandoned, take_over};
pub use holding::{Ending, Holding, Settled, Step, Undo, Write};
pub use resolve::{NotResolvable, resolve};

use std::time::Duration;

use crate::State;

/// How long a record in this state is kept.
///
/// One that is in flight outlives its lease by the retention, so that an abandoned execution is
/// remembered as long as an answer would have been.
#[must_use]
pub fn ttl(state: &State, retention: Duration) -> Duration {
    match state {
        State::InFlight { lease, .. } => retention.saturating_add(*lease),
        State::Retryable { .. } | State::Completed { .. } | State::Failed { .. } => retention,
    }
}

#[cfg(test)]
mod tests;
