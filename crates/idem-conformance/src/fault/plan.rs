//! Which fault hits which call.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// One of the four operations of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// [`Store::create`](idem_core::store::Store::create)
    Create,
    /// [`Store::update`](idem_core::store::Store::update)
    Update,
    /// [`Store::delete`](idem_core::store::Store::delete)
    Delete,
    /// [`Store::get`](idem_core::store::Store::get)
    Get,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallFault {
    /// Not applied; answers `Unavailable`.
    Refuse,
    /// Not applied; answers `Unknown`.
    LoseRequest,
    /// Applied; answers `Unknown`.
    LoseReply,
    /// Applied after a while, and then answered.
    Delay(Duration),
    /// Applied at once, and answered after a while.
    DelayReply(Duration),
    /// Neither applied nor answered until [`heal`](crate::FaultStore::heal).
    Hang,
    /// Applied at once, and not answered until [`heal`](crate::FaultStore::heal).
    HangAfter,
    /// Applied and answered, and applied once more after a while.
    Duplicate(Duration),
    /// Answers `Unknown` at once, and is applied after a while, when the caller has given up.
    Late(Duration),
}

impl CallFault {
    /// The kind, for counting: `refuse`, `lose-request`, `lose-reply`, `delay`, `delay-reply`,
    /// `hang`, `hang-after`, `duplicate` or `late`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::LoseRequest => "lose-request",
            Self::LoseReply => "lose-reply",
            Self::Delay(_) => "delay",
            Self::DelayReply(_) => "delay-reply",
            Self::Hang => "hang",
            Self::HangAfter => "hang-after",
            Self::Duplicate(_) => "duplicate",
            Self::Late(_) => "late",
        }
    }
}

/// How likely each fault is, between 0 and 1 for every call. Together at most 1.
///
/// ```
/// use std::time::Duration;
/// use idem_conformance::Odds;
///
/// let odds = Odds {
///     lose_reply: 0.2,
///     late: 0.1,
///     longest: Duration::from_millis(500),
///     ..Odds::NONE
/// };
/// # let _ = odds;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// Of [`CallFault::Refuse`].
    pub refuse: f64,
    /// Of [`CallFault::LoseRequest`].
    pub lose_request: f64,
    /// Of [`CallFault::LoseReply`].
    pub lose_reply: f64,
    /// Of [`CallFault::Delay`].
    pub delay: f64,
    /// Of [`CallFault::DelayReply`].
    pub delay_reply: f64,
    /// Of [`CallFault::Hang`].
    pub hang: f64,
    /// Of [`CallFault::HangAfter`].
    pub hang_after: f64,
    /// Of [`CallFault::Duplicate`].
    pub duplicate: f64,
    /// Of [`CallFault::Late`].
    pub late: f64,
    /// Delays are drawn up to this.
    pub longest: Duration,
}

impl Odds {
    /// No faults.
    pub const NONE: Self = Self {
        refuse: 0.0,
        lose_request: 0.0,
        lose_reply: 0.0,
        delay: 0.0,
        delay_reply: 0.0,
        hang: 0.0,
        hang_after: 0.0,
        duplicate: 0.0,
        late: 0.0,
        longest: Duration::ZERO,
    };

    /// A fault in so many of all calls, of every kind alike, with delays up to `longest`.
    #[must_use]
    pub fn even(share: f64, longest: Duration) -> Self {
        let each = share / 9.0;
        Self {
            refuse: each,
            lose_request: each,
            lose_reply: each,
            delay: each,
            delay_reply: each,
            hang: each,
            hang_after: each,
            duplicate: each,
            late: each,
            longest,
        }
    }

    fn draw(&self, rng: &mut StdRng) -> Option<CallFault> {
        // Always two draws, so that one fault more or less does not change the rest of a run.
        let (mut dice, share) = (rng.random::<f64>(), rng.random::<f64>());
        let delay = self.longest.mul_f64(share);
        let kinds = [
            (self.refuse, CallFault::Refuse),
            (self.lose_request, CallFault::LoseRequest),
            (self.lose_reply, CallFault::LoseReply),
            (self.delay, CallFault::Delay(delay)),
            (self.delay_reply, CallFault::DelayReply(delay)),
            (self.hang, CallFault::Hang),
            (self.hang_after, CallFault::HangAfter),
            (self.duplicate, CallFault::Duplicate(delay)),
            (self.late, CallFault::Late(delay)),
        ];
        for (odds, fault) in kinds {
            if dice < odds {
                return Some(fault);
            }
            dice -= odds;
        }
        None
    }
}

/// What is to happen to the calls to come.
#[derive(Default)]
pub(super) struct Plan {
    /// Strikes once each, in this order; `None` waits for any operation.
    script: VecDeque<(Option<Op>, CallFault)>,
    /// Strikes every call that the script leaves.
    lasting: Option<CallFault>,
    /// Strikes at random.
    random: Option<(Odds, StdRng)>,
    struck: BTreeMap<&'static str, u64>,
}

impl Plan {
    pub(super) fn script(&mut self, op: Option<Op>, fault: CallFault) {
        self.script.push_back((op, fault));
    }

    pub(super) fn lasting(&mut self, fault: CallFault) {
        self.lasting = Some(fault);
    }

    pub(super) fn random(&mut self, odds: Odds, seed: u64) {
        self.random = Some((odds, StdRng::seed_from_u64(seed)));
    }

    /// Ends everything but the count.
    pub(super) fn heal(&mut self) {
        *self = Self {
            struck: std::mem::take(&mut self.struck),
            ..Self::default()
        };
    }

    pub(super) fn struck(&self) -> BTreeMap<&'static str, u64> {
        self.struck.clone()
    }

    /// The fault that hits this call.
    pub(super) fn next(&mut self, op: Op) -> Option<CallFault> {
        let fault = self.choose(op)?;
        *self.struck.entry(fault.name()).or_default() += 1;
        Some(fault)
    }

    fn choose(&mut self, op: Op) -> Option<CallFault> {
        let scripted = self.script.front();
        if scripted.is_some_and(|(wanted, _)| wanted.is_none_or(|wanted| wanted == op)) {
            return self.script.pop_front().map(|(_, fault)| fault);
        }
        if self.lasting.is_some() {
            return self.lasting;
        }
        let (odds, rng) = self.random.as_mut()?;
        odds.draw(rng)
    }
}
