//! Calls that wait to be sent.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
};

use idem_core::RecordKey;

use super::{
    job::{Call, Group},
    kind::Kind,
};
use crate::PostgresConfig;

/// All calls that wait, and how many lanes serve them.
pub(super) struct Queues {
    /// Writes of one key go out in the order in which they came: a claim that is taken back must
    /// not come after the taking back.
    writes: Queue,
    /// Reads overtake them, for a write may have to wait for a lock.
    reads: Queue,
    /// Which kind is served next.
    turn: usize,
    lanes_running: usize,
    lanes: NonZeroUsize,
    limits: Limits,
    /// The number of the next call.
    next_id: u64,
}

/// How much fits into a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// What a lane sends next, in one statement.
pub(super) struct Batch {
    pub(super) kind: Kind,
    /// In ascending order of their keys.
    pub(super) groups: Vec<Group>,
}

impl Queues {
    pub(super) fn new(config: &PostgresConfig) -> Self {
        Self {
            writes: Queue::default(),
            reads: Queue::default(),
            turn: 0,
            lanes_running: 0,
            lanes: config.lanes,
            limits: Limits {
                rows: config.batch_rows.get(),
                bytes: config.batch_bytes,
            },
            next_id: 0,
        }
    }

    /// Files a call, and gives its number. `true` when there is a free lane, which is then taken:
    /// start it.
    pub(super) fn push(&mut self, key: RecordKey, mut call: Call) -> (u64, bool) {
        let id = self.next_id;
        self.next_id += 1;
        call.id = id;
        self.queue(call.kind()).push(key, call);
        (id, self.take_lane())
    }

    /// Takes a call back that was not sent: `false` when it was.
    pub(super) fn withdraw(&mut self, key: &RecordKey, id: u64) -> bool {
        self.writes.withdraw(key, id) || self.reads.withdraw(key, id)
    }

    /// Takes a free lane, if there is one.
    pub(super) fn take_lane(&mut self) -> bool {
        let free = self.lanes_running < self.lanes.get();
        self.lanes_running += usize::from(free);
        free
    }

    /// The next batch for a lane; `None` gives the lane up.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        for _ in 0..Kind::ALL.len() {
            let kind = Kind::ALL[self.turn];
            self.turn = (self.turn + 1) % Kind::ALL.len();
            let limits = self.limits;
            let mut groups = self.queue(kind).take(kind, limits);
            if !groups.is_empty() {
                groups.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                return Some(Batch { kind, groups });
            }
        }
        self.give_up_lane();
        None
    }

    fn give_up_lane(&mut self) {
        self.lanes_running = self.lanes_running.saturating_sub(1);
    }

    /// Gives up a lane whose task was dropped. If no other serves the calls that wait, here they
    /// are.
    pub(super) fn lose_lane(&mut self) -> Vec<Call> {
        self.give_up_lane();
        match self.lanes_running {
            0 => [&mut self.writes, &mut self.reads]
                .into_iter()
                .flat_map(Queue::take_all)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Ends the work on a key, and takes back the calls that were not answered. `true` when there
    /// is more to be done for it.
    pub(super) fn release(&mut self, kind: Kind, key: &RecordKey, unanswered: Vec<Call>) -> bool {
        self.queue(kind).release(key, unanswered)
    }

    fn queue(&mut self, kind: Kind) -> &mut Queue {
        match kind {
            Kind::Get => &mut self.reads,
            _ => &mut self.writes,
        }
    }
}

/// Calls by key. A key that is under way is not taken again before it is back: its next call would
/// only wait for its own process' lock.
#[derive(Default)]
struct Queue {
    /// By kind, the keys whose first call is of that kind and that are not under way.
    order: [VecDeque<RecordKey>; Kind::ALL.len()],
    /// Keys that have calls or are under way.
    entries: HashMap<RecordKey, Entry>,
}

struct Entry {
    calls: VecDeque<Call>,
    under_way: bool,
}

impl Default for Entry {
    /// With room for one call, for most keys have no more: what a deque takes by itself is so much
    /// that it takes an allocator long to find.
    fn default() -> Self {
        Self {
            calls: VecDeque::with_capacity(1),
            under_way: false,
        }
    }
}

impl Queue {
    fn push(&mut self, key: RecordKey, call: Call) {
        let kind = call.kind();
        let entry = self.entries.entry(key.clone()).or_default();
        entry.calls.push_back(call);
        if !entry.under_way && entry.calls.len() == 1 {
            self.order[kind as usize].push_back(key);
        }
    }

    /// Marks a call that waits here as one that nobody waits for any more.
    fn withdraw(&mut self, key: &RecordKey, id: u64) -> bool {
        let waiting = self.entries.get_mut(key).map(|entry| &mut entry.calls);
        let call = waiting.and_then(|calls| calls.iter_mut().find(|call| call.id == id));
        call.map(Call::withdraw).is_some()
    }

    fn take(&mut self, kind: Kind, limits: Limits) -> Vec<Group> {
        let waiting = self.order[kind as usize].len();
        let mut taken = Vec::with_capacity(limits.rows.min(waiting));
        let mut bytes = 0_usize;
        while taken.len() < limits.rows && (taken.is_empty() || bytes < limits.bytes) {
            let Some(key) = self.order[kind as usize].pop_front() else {
                break;
            };
            if let Some(group) = self.take_key(kind, key) {
                bytes = bytes.saturating_add(group.first.job.weight());
                taken.push(group);
            }
        }
        taken
    }

    fn take_key(&mut self, kind: Kind, key: RecordKey) -> Option<Group> {
        let entry = self.entries.get_mut(&key)?;
        entry.calls.retain(|call| !call.is_abandoned());
        let Some(first) = entry.calls.pop_front_if(|call| call.kind() == kind) else {
            self.file(key);
            return None;
        };
        entry.under_way = true;
        let mut others = Vec::new();
        while kind.shares_answers()
            && let Some(next) = entry.calls.pop_front_if(|call| call.kind() == kind)
        {
            others.push(next);
        }
        Some(Group { key, first, others })
    }

    /// The calls of all keys that are not under way.
    fn take_all(&mut self) -> Vec<Call> {
        let keys = self.order.iter_mut().flat_map(|keys| keys.drain(..));
        let entries = keys.filter_map(|key| self.entries.remove(&key));
        entries.flat_map(|entry| entry.calls).collect()
    }

    /// `true` when the key has calls again.
    fn release(&mut self, key: &RecordKey, unanswered: Vec<Call>) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        entry.under_way = false;
        for call in unanswered.into_iter().rev() {
            entry.calls.push_front(call);
        }
        self.file(key.clone())
    }

    /// Files a key that is not under way by its first call; `false` when it has none.
    fn file(&mut self, key: RecordKey) -> bool {
        let first = self.entries.get(&key).and_then(|entry| entry.calls.front());
        match first.map(Call::kind) {
            Some(kind) => {
                self.order[kind as usize].push_back(key);
                true
            }
            None => {
                self.entries.remove(&key);
                false
            }
        }
    }
}
