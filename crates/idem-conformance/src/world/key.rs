//! What belongs to one key: its history, its effects, its answers.

use bytes::Bytes;
use idem_core::{IdempotencyKey, RecordKey, Scope};
use tokio::time::Instant;

use super::Plan;
use crate::history::{Call, History, KeyCall, KeyReply};

/// A key and the calls on it.
pub(super) struct Key {
    pub(super) record: RecordKey,
    pub(super) history: History<KeyCall, KeyReply>,
}

impl Key {
    /// So many keys that a store, or an engine, could mistake for each other.
    pub(super) fn some(count: usize, began: Instant) -> Vec<Self> {
        let keys = names().into_iter().take(count.clamp(1, Plan::KEYS));
        keys.map(|record| Self {
            record,
            history: History::since(began),
        })
        .collect()
    }
}

fn names() -> [RecordKey; Plan::KEYS] {
    let scope = |segment| Scope::new(segment).expect("it is a segment");
    [
        (Scope::global(), "the-key"),
        (scope("other"), "the-key"),
        (Scope::global(), "The-Key"),
        (scope("the"), "-key"),
    ]
    .map(|(scope, key)| scope.key(&IdempotencyKey::new(key).expect("it is a key")))
}

/// What is written down about a key.
#[derive(Default)]
pub(super) struct KeyBooks {
    pub(super) ledger: Ledger,
    /// Answers that are stored, as clients got them.
    pub(super) answers: Vec<Bytes>,
    /// What may have happened beside the calls of the history: second deliveries, claims taken
    /// back, what probers found.
    pub(super) unseen: Vec<Call<KeyCall, KeyReply>>,
}

/// Where the effects happen, outside of the store.
#[derive(Default)]
pub(super) struct Ledger {
    /// Which execution had the effect, in the order of the effects.
    effects: Vec<u64>,
    barred: Vec<Barred>,
}

/// Executions that a prober said cannot have the effect any more.
struct Barred {
    up_to_attempt: u32,
    /// A key that was released counts its attempts from 1 again: those that began later are free.
    up_to_execution: u64,
}

impl Ledger {
    /// The effect of an execution; says whether it happened.
    pub(super) fn happen(&mut self, execution: u64, attempt: u32) -> bool {
        let barred = self
            .barred
            .iter()
            .any(|barred| attempt <= barred.up_to_attempt && execution <= barred.up_to_execution);
        if !barred {
            self.effects.push(execution);
        }
        !barred
    }

    /// Which execution had the effect. Where none had it, it does not happen any more in any attempt
    /// so far: otherwise nobody could say so.
    pub(super) fn probe(&mut self, attempt: u32, latest_execution: u64) -> Option<u64> {
        let first = self.first();
        if first.is_some() {
            return first;
        }
        self.barred.push(Barred {
            up_to_attempt: attempt,
            up_to_execution: latest_execution,
        });
        None
    }

    /// The execution that had the effect.
    pub(super) fn first(&self) -> Option<u64> {
        self.effects.first().copied()
    }

    pub(super) fn effects(&self) -> usize {
        self.effects.len()
    }
}
