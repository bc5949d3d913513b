//! One key, one store that keeps the rules, a wire that does not, and the workers.

mod act;
mod reply;

use std::time::Duration;

use idem_core::{
    Bytes, Fingerprint, Timestamp,
    machine::{Claiming, Ending, Holding, LapsedRule, Op, Request, Write},
    store::{ClaimToken, Record, State, Stored, Version},
};
use stateright::{Model, Property};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// How much of everything a run may have, so that there is an end to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) claims: u8,
    pub(crate) faults: u8,
    pub(crate) lapses: u8,
    pub(crate) crashes: u8,
    /// Renewals.
    pub(crate) steps: u8,
    /// Whether the store may refuse answers, and renewals may go between two attempts at an ending.
    pub(crate) pending_endings: bool,
}

pub(crate) struct Protocol {
    /// A worker each, by the fingerprint of its request.
    pub(crate) prints: Vec<u8>,
    pub(crate) rule: LapsedRule,
    pub(crate) bounds: Bounds,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) record: Option<Record>,
    /// Whether the record's age has reached the lease.
    pub(crate) lapsed: bool,
    pub(crate) workers: Vec<Phase>,
    /// Requests under way, late copies included, by their sender.
    pub(crate) wire: Vec<(usize, Message)>,
    pub(crate) used: Used,
    pub(crate) account: Account,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Used {
    pub(crate) claims: u8,
    pub(crate) faults: u8,
    pub(crate) lapses: u8,
    pub(crate) crashes: u8,
    pub(crate) steps: u8,
}

/// What one worker is about. The message it waits for is on the wire, perhaps more than once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    Claiming(Claiming, Message),
    Running(Holding),
    /// Its work goes on while the renewal is under way.
    Renewing(Holding, Message),
    /// The ending, or a renewal between two attempts at it.
    Ending(Holding, Message),
    /// Takes back, in the background, a claim that it gave up.
    Disowning(Holding, Message),
    /// It has its answer, or died.
    Over,
}

impl Phase {
    /// The holding of a worker whose work may be going on.
    pub(crate) fn live(&self) -> Option<&Holding> {
        match self {
            Self::Running(holding) | Self::Renewing(holding, _) => Some(holding),
            _ => None,
        }
    }

    pub(crate) fn awaited(&self) -> Option<&Message> {
        match self {
            Self::Claiming(_, message)
            | Self::Renewing(_, message)
            | Self::Ending(_, message)
            | Self::Disowning(_, message) => Some(message),
            Self::Idle | Self::Running(_) | Self::Over => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Create(Record),
    Update(Write),
    Delete(Version),
    /// A claim looks again after a take-over that failed.
    Get,
}

impl Message {
    pub(crate) fn of(op: Op<'_>) -> Self {
        match op {
            Op::Create(record) => Self::Create(record.clone()),
            Op::Update(write) => Self::Update(write.clone()),
            Op::Delete(version) => Self::Delete(version),
            Op::Get => Self::Get,
            Op::Probe(_) => unreachable!("nothing is probed here"),
        }
    }

    /// Tells one worker's messages apart: no two writes share a version, and reads are alike.
    fn name(&self) -> (u8, Version) {
        match self {
            Self::Create(record) => (0, record.version),
            Self::Update(write) => (1, write.record.version),
            Self::Delete(version) => (2, *version),
            Self::Get => (
                3,
                Version {
                    token: ClaimToken::from_bytes([0; 16]),
                    revision: 0,
                },
            ),
        }
    }
}

/// What the promises are held against; no worker and no store can see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Account {
    /// The ending that was stored first, and by which claim.
    pub(crate) ending: Option<State>,
    pub(crate) ending_token: Option<ClaimToken>,
    /// Claims whose lease ran out, and was not renewed since.
    pub(crate) lapsed: Vec<ClaimToken>,
    /// Claims that were deleted by their own hand. A late copy of such a claim's create may bring
    /// its record back: an orphan, which nobody runs under.
    pub(crate) given_up: Vec<ClaimToken>,
    /// Executions that began.
    pub(crate) runs: u8,
    /// Endings without effect: retryable, released, or never begun.
    pub(crate) void: u8,
    /// Seen at least once in the run; the exploration has to meet each.
    pub(crate) seen: Seen,
    /// The first promise that was broken.
    pub(crate) broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seen {
    pub(crate) take_over: bool,
    pub(crate) own: bool,
    pub(crate) landed: bool,
    pub(crate) again: bool,
    pub(crate) fallback: bool,
    /// An ending landed that its holder had given up for a renewal or for the fallback.
    pub(crate) earlier: bool,
    pub(crate) superseded: bool,
    pub(crate) mismatch: bool,
    /// A key was released by one request and taken over by another.
    pub(crate) other: bool,
    pub(crate) replay: bool,
    pub(crate) abandoned: bool,
}

impl Account {
    pub(crate) fn expect(&mut self, holds: bool, promise: &'static str) {
        if !holds && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Claim(usize),
    Renew(usize),
    Complete(usize),
    FailRetryable(usize),
    Release(usize),
    Crash(usize),
    /// The caller goes away while its claim is under way.
    GiveUp(usize),
    Lapse,
    /// The request at this place of the wire arrives, and its reply too.
    Arrive(usize),
    /// It arrives; the reply is lost, so its sender sends it again.
    LoseReply(usize),
    /// It does not arrive; its sender sends it again.
    LoseRequest(usize),
    /// It is late: its sender sends it again, and both may arrive.
    Delay(usize),
    /// It arrives, and the store refuses it for good. Answers alone are refused.
    Refuse(usize),
    /// It is late: its sender renews before it sends its ending again.
    DelayAndRenew(usize),
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            record: None,
            lapsed: false,
            workers: vec![Phase::Idle; self.prints.len()],
            wire: Vec::new(),
            used: Used::default(),
            account: Account::default(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.possible(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.act(&mut next, action);
        // The wire keeps no order, so two orders are one state.
        next.wire
            .sort_by_key(|(worker, message)| (*worker, message.name()));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("no promise is broken", |_, world: &World| {
                world.account.broken.is_none()
            }),
            Property::sometimes("a claim finds its own token", |_, w: &World| {
                w.account.seen.own
            }),
            Property::sometimes("a write finds itself", |_, w: &World| w.account.seen.landed),
            Property::sometimes("an answer is replayed", |_, w: &World| {
                w.account.seen.replay
            }),
        ];
        match self.rule {
            LapsedRule::Reclaim => properties.extend([
                Property::sometimes("a take-over", |_, w: &World| w.account.seen.take_over),
                Property::sometimes("superseded", |_, w: &World| w.account.seen.superseded),
            ]),
            LapsedRule::Halt | LapsedRule::Probe => properties
                .push(Property::sometimes("an abandoned key", |_, w: &World| {
                    w.account.seen.abandoned
                })),
        }
        if self.bounds.steps > 0 {
            properties.push(Property::sometimes(
                "a write follows an unnoticed one",
                |_, w: &World| w.account.seen.again,
            ));
        }
        if self.bounds.pending_endings {
            properties.extend([
                Property::sometimes("a fallback lands", |_, w: &World| w.account.seen.fallback),
                Property::sometimes(
                    "an earlier ending than the last one lands",
                    |_, w: &World| w.account.seen.earlier,
                ),
            ]);
        }
        if self.prints.iter().any(|print| *print != self.prints[0]) {
            properties.extend([
                Property::sometimes("a mismatch", |_, w: &World| w.account.seen.mismatch),
                Property::sometimes("a released key runs another request", |_, w: &World| {
                    w.account.seen.other
                }),
            ]);
        }
        properties
    }
}

impl Protocol {
    pub(crate) fn request(&self, worker: usize, token: ClaimToken) -> Request {
        Request {
            fingerprint: Fingerprint::from_bytes([self.prints[worker]; 32]),
            token,
            sent: 0,
            created_at: Timestamp::default(),
            lease: LEASE,
            lapsed: self.rule,
            max_attempts: None,
        }
    }
}

impl World {
    pub(crate) fn stored(&self) -> Option<Stored> {
        let age = if self.lapsed { LEASE } else { Duration::ZERO };
        self.record.clone().map(|record| Stored {
            record,
            age: Some(age),
            remaining: None,
        })
    }
}

/// An answer that tells who gave it.
pub(crate) fn answer(holding: &Holding) -> Ending {
    let token = holding.record().version.token;
    Ending::Complete(Bytes::copy_from_slice(token.as_bytes()))
}

/// What is stored instead of an answer that the store refuses.
pub(crate) fn fallback(holding: &Holding) -> Ending {
    let token = holding.record().version.token;
    Ending::Fail(Bytes::copy_from_slice(token.as_bytes()))
}
