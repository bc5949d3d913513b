//! The protocol: every decision about a record, without I/O, clock or randomness.
//!
//! Three types drive one key each. A driver asks for the next store operation
//! ([`Op`]), performs it, and hands the [`Reply`] back:
//!
//! | type | for | ends with |
//! |---|---|---|
//! | [`Claiming`] | a caller that wants to run | [`Claimed`]: the right to run, a stored answer, or a refusal |
//! | [`Holding`] | the holder: renewals, checkpoints and the ending | [`Held`]: kept, ended or superseded |
//! | [`Resolving`] | an operator who settles an abandoned key | [`Resolved`] |
//!
//! The driver decides nothing. It bounds each call in time, pauses before it sends an operation
//! again, and gives up when its budget is spent. The engine, the transactions of `idem-postgres`
//! and the checkers (exhaustive search, random histories, fuzzing) all drive these types.
//!
//! The enums here are deliberately not `#[non_exhaustive]`: a driver that does not know an operation or
//! an outcome cannot go on.
//!
//! Time comes in as [`Stored::age`](crate::store::Stored::age), measured by the store's clock: a lease
//! has run out when `age >= lease`. The other input is the grace that a claimer gives to holders
//! after an outage, see [`Claiming::on_reply`].
//!
//! # Transitions
//!
//! | record found | claim, same fingerprint | claim, other fingerprint | its holder |
//! |---|---|---|---|
//! | none | creates it: *in flight*, attempt 1 | the same | `Superseded` |
//! | in flight, lease running | `InFlight` | `Mismatch` | renews, checkpoints, ends |
//! | in flight, lease over, within the grace | `InFlight` | `Mismatch` | the same |
//! | in flight, lease over | `Reclaim`: takes over, attempt + 1. `Halt`: `Abandoned`. `Probe`: as the prober says | `Mismatch` | the same, as long as nobody took over |
//! | retryable | takes over, attempt + 1 | `Mismatch` | its own ending *landed*; another's is `Superseded` |
//! | released | takes over, attempt + 1 | the same: the key is its from now on | as above |
//! | completed | `Replay` | `Mismatch` | as above |
//! | failed | `ReplayFailure` | `Mismatch` | as above |
//!
//! A record past its ttl is *none*. A take-over keeps the stamp and the checkpoint; a released record
//! has no checkpoint. Where the attempts are used up, a claim is told `Exhausted` instead of taking over.
//! A prober that knows the answer has it stored as *completed* or *failed*; one that says *retry* lets
//! the claim take over; one that cannot tell leaves the record as it is, and the claim is told
//! `Abandoned`.
//!
//! # Lost replies
//! Each write has a version that no other write has, and only the holder of a token writes under
//! it. So any write may be sent again, and what is found tells what happened:
//!
//! - A claimer that finds its own token in flight has the claim.
//! - A holder that finds its own token in flight is still the holder: an earlier write of its own
//!   landed unseen. It builds the write anew on top of that record.
//! - A holder that finds its own token in an ended record has ended: one of the endings that it
//!   sent has landed, whichever it was.
//!
//! A take-over that failed is sent again only after a read: what kept it from the store may have kept the
//! holder from renewing.
//!
//! A create that is sent again gets a new revision. Two copies of a create, unlike two copies of an
//! update, can both be applied: the first one, then the second after the first was given back or had
//! expired. A late write that expects the first copy must not fit the second.

mod claiming;
mod end;
mod ending;
mod holding;
mod op;
mod resolving;
mod take_over;
mod want;

pub use claiming::{Claimed, Claiming, LapsedRule, Request};
pub use ending::{Ending, Landed};
pub use holding::Holding;
pub use op::{Op, Reply, Write};
pub use resolving::{NotResolvable, Resolved, Resolving};
pub use want::{Held, Want};

use std::time::Duration;

use crate::store::State;

/// The ttl of a record that must not end by time: a hundred years. It is finite because stores
/// compute ages from it.
pub const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long records are kept once they have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A failure, from its ending.
    pub failures: Duration,
    /// Any other record, from its ending or from the end of its lease.
    pub others: Duration,
}

/// The ttl to write a record with.
///
/// A record in flight outlives its lease by the retention, so that an abandoned execution is
/// remembered as long as an answer would be. Under [`LapsedRule::Halt`] and [`LapsedRule::Probe`]
/// it lasts a hundred years ([`NEVER`]): an abandoned key must never run again by itself. Its ending
/// sets the ttl back to the retention; so does a retryable ending or a release, after which nothing
/// is in doubt.
#[must_use]
pub fn ttl(state: &State, retention: Retention, lapsed: LapsedRule) -> Duration {
    match (state, lapsed) {
        (State::InFlight { lease, .. }, LapsedRule::Reclaim) => {
            retention.others.saturating_add(*lease)
        }
        (State::InFlight { .. }, LapsedRule::Halt | LapsedRule::Probe) => NEVER,
        (State::Failed { .. }, _) => retention.failures,
        (State::Retryable { .. } | State::Released | State::Completed { .. }, _) => {
            retention.others
        }
    }
}

#[cfg(test)]
mod tests;
