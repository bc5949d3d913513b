//! Whether an intent may have run: a state machine over what each sending proves.

/// What a reply proves about the sending that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// This sending ran nothing: it never left, or the idempotency layer says so.
    NothingRan,
    /// The intent has its outcome: a success, or a stored answer that was replayed.
    Settled,
    /// This sending was turned away, or the handler said no: the two look the same.
    Refused,
    /// It may have run.
    MayHaveRun,
}

/// What the intent knows after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learned {
    /// The reply is the outcome of the intent.
    Outcome,
    /// The reply refuses this sending and says nothing of another one that may have run.
    Unanswered,
    /// Another sending may get another reply.
    Open,
}

/// The number of sendings that may have run.
///
/// A sending is in doubt from its start. Only proof that this very sending ran nothing takes it
/// out of doubt; a sending that is dropped half-way stays in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt {
    sendings: u32,
}

impl Doubt {
    /// No sending yet.
    pub(super) const FRESH: Self = Self { sendings: 0 };

    /// Somebody sent before, and what came of it is not known.
    pub(super) const RESUMED: Self = Self { sendings: 1 };

    pub(super) fn may_have_run(self) -> bool {
        self.sendings > 0
    }

    /// A sending begins.
    pub(super) fn begin(&mut self) {
        self.sendings = self.sendings.saturating_add(1);
    }

    /// Takes the evidence of one sending that began.
    pub(super) fn learn(&mut self, evidence: Evidence) -> Learned {
        match evidence {
            Evidence::NothingRan => {
                self.sendings = self.sendings.saturating_sub(1);
                Learned::Open
            }
            Evidence::MayHaveRun => Learned::Open,
            Evidence::Settled => Learned::Outcome,
            Evidence::Refused if self.sendings > 1 => Learned::Unanswered,
            Evidence::Refused => Learned::Outcome,
        }
    }
}
