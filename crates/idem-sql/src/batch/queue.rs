//! Calls that wait to be sent.

use std::{
    collections::{HashMap, VecDeque},
    marker::PhantomData,
    num::NonZeroUsize,
    time::Duration,
};

use idem_core::RecordKey;

use super::{
    Kind,
    job::{Call, Group},
};

/// All calls that wait, and how many lanes serve them.
pub(super) struct Queues<K> {
    /// Writes of one key go out in the order in which they came: a claim that is taken back must
    /// not come after the taking back.
    writes: Queue<K>,
    /// Reads overtake them, for a write may have to wait for a lock.
    reads: Queue<K>,
    /// Which kind is served next.
    turn: usize,
    lanes_running: usize,
    limits: Limits,
    /// The number of the next call.
    next_id: u64,
}

/// What [`Limits::large`] is where the database is at the end of a network.
pub const LARGE: usize = 64 << 10;

/// How many lanes there are, and how much fits into a batch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many batches are under way at once.
    pub lanes: NonZeroUsize,
    /// Calls in one batch.
    pub rows: NonZeroUsize,
    /// Bytes of payloads and checkpoints at which a batch is full.
    pub bytes: usize,
    /// Bytes from which a call is large, and goes out on a lane of its own. `usize::MAX` where all calls
    /// go the same way, as with a file.
    pub large: usize,
    /// How long a call may wait until it is sent. Past it the call is taken back.
    pub send_timeout: Duration,
}

impl<K: Kind> Queues<K> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            writes: Queue::default(),
            reads: Queue::default(),
            turn: 0,
            lanes_running: 0,
            limits,
            next_id: 0,
        }
    }

    /// Files a call, and gives its number. `true` when there is a free lane, which is then taken:
    /// start it.
    pub(super) fn push(&mut self, key: RecordKey, mut call: Call) -> (u64, bool) {
        let id = self.next_id;
        self.next_id += 1;
        call.id = id;
        self.queue(call.kind::<K>()).push(key, call);
        (id, self.take_lane())
    }

    /// Whether a write of this key waits or is under way.
    pub(super) fn writes_to(&self, key: &RecordKey) -> bool {
        self.writes.entries.contains_key(key)
    }

    /// Takes a call back that was not sent: `false` when it was.
    pub(super) fn withdraw(&mut self, key: &RecordKey, id: u64) -> bool {
        self.writes.withdraw(key, id) || self.reads.withdraw(key, id)
    }

    /// Takes a free lane, if there is one.
    pub(super) fn take_lane(&mut self) -> bool {
        let free = self.lanes_running < self.limits.lanes.get();
        self.lanes_running += usize::from(free);
        free
    }

    /// Whether there is something to be sent; otherwise the lane is given up.
    pub(super) fn has_more(&mut self) -> bool {
        let more = self.writes.is_waiting() || self.reads.is_waiting();
        if !more {
            self.give_up_lane();
        }
        more
    }

    /// The next batch for a lane, in ascending order of its keys; `None` gives the lane up.
    pub(super) fn next_batch(&mut self) -> Option<Vec<Group<K>>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for _ in 0..K::ALL.len() {
            let kind = K::ALL[self.turn];
            self.turn = (self.turn + 1) % K::ALL.len();
            let limits = self.limits;
            self.queue(kind).take(kind, limits, &mut batch, &mut bytes);
            if !K::MIXED && !batch.is_empty() {
                break;
            }
        }
        if batch.is_empty() {
            self.give_up_lane();
            return None;
        }
        batch.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Some(batch)
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
    pub(super) fn release(&mut self, kind: K, key: &RecordKey, unanswered: Vec<Call>) -> bool {
        self.queue(kind).release(key, unanswered)
    }

    fn queue(&mut self, kind: K) -> &mut Queue<K> {
        match kind.reads() {
            true => &mut self.reads,
            false => &mut self.writes,
        }
    }
}

/// Calls by key. A key that is under way is not taken again before it is back: its next call would
/// only wait for its own process' lock.
struct Queue<K> {
    /// By kind, the keys whose first call is of that kind and that are not under way.
    order: Vec<VecDeque<RecordKey>>,
    /// Keys that have calls or are under way.
    entries: HashMap<RecordKey, Entry>,
    kinds: PhantomData<K>,
}

impl<K: Kind> Default for Queue<K> {
    fn default() -> Self {
        Self {
            order: K::ALL.iter().map(|_| VecDeque::new()).collect(),
            entries: HashMap::new(),
            kinds: PhantomData,
        }
    }
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

impl<K: Kind> Queue<K> {
    fn is_waiting(&self) -> bool {
        self.order.iter().any(|keys| !keys.is_empty())
    }

    fn push(&mut self, key: RecordKey, call: Call) {
        let kind = call.kind::<K>();
        let entry = self.entries.entry(key.clone()).or_default();
        entry.calls.push_back(call);
        if !entry.under_way && entry.calls.len() == 1 {
            self.order[kind.index()].push_back(key);
        }
    }

    /// Marks a call that waits here as one that nobody waits for any more.
    fn withdraw(&mut self, key: &RecordKey, id: u64) -> bool {
        let waiting = self.entries.get_mut(key).map(|entry| &mut entry.calls);
        let call = waiting.and_then(|calls| calls.iter_mut().find(|call| call.id == id));
        call.map(Call::withdraw).is_some()
    }

    fn take(&mut self, kind: K, limits: Limits, batch: &mut Vec<Group<K>>, bytes: &mut usize) {
        let waiting = self.order[kind.index()].len();
        batch.reserve(limits.rows.get().min(waiting));
        while batch.len() < limits.rows.get() && (batch.is_empty() || *bytes < limits.bytes) {
            let Some(key) = self.order[kind.index()].pop_front() else {
                break;
            };
            if let Some(group) = self.take_key(kind, key) {
                *bytes = bytes.saturating_add(group.first.job.weight());
                batch.push(group);
            }
        }
    }

    fn take_key(&mut self, kind: K, key: RecordKey) -> Option<Group<K>> {
        let entry = self.entries.get_mut(&key)?;
        entry.calls.retain(|call| !call.is_abandoned());
        let Some(first) = entry.calls.pop_front_if(|call| call.kind::<K>() == kind) else {
            self.file(key);
            return None;
        };
        entry.under_way = true;
        let mut others = Vec::new();
        while kind.shares_answers()
            && let Some(next) = entry.calls.pop_front_if(|call| call.kind::<K>() == kind)
        {
            others.push(next);
        }
        Some(Group {
            kind,
            key,
            first,
            others,
        })
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
        match first.map(Call::kind::<K>) {
            Some(kind) => {
                self.order[kind.index()].push_back(key);
                true
            }
            None => {
                self.entries.remove(&key);
                false
            }
        }
    }
}
