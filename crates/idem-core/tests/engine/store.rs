//! A store that keeps the rules S1–S10 on virtual time, and fails where the test says so.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{
        Created, Deleted, Record, State, Store, StoreError, StoreErrorKind, Stored, Updated,
        Version,
    },
};
use tokio::time::Instant;

/// What happens to the next call of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Never arrives, and nobody says so.
    Hang,
    /// Applied; the reply is lost.
    LoseReply,
    /// Applied; the reply never comes.
    ApplyAndHang,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Create,
    Update,
    Delete,
    Get,
}

/// One process's connection to the records; clones share it.
#[derive(Clone, Default)]
pub(crate) struct ScriptedStore {
    records: Arc<Mutex<Records>>,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Records(HashMap<RecordKey, (Record, Instant, Duration)>);

#[derive(Default)]
struct Script {
    faults: HashMap<Op, VecDeque<Fault>>,
    down: Option<StoreErrorKind>,
    refuse_answers: Option<StoreErrorKind>,
    refused_answers: usize,
    refuse_renewals: bool,
    refuse_writes: Option<StoreErrorKind>,
    hang_answers: bool,
    refuse_larger_than: Option<(usize, StoreErrorKind)>,
    hang_all: bool,
    /// How many calls are under way, and the most that ever were.
    under_way: HashMap<Op, (usize, usize)>,
    calls: Vec<(Op, Instant)>,
}

impl ScriptedStore {
    /// The same records over a connection with faults of its own.
    pub(crate) fn other_process(&self) -> Self {
        Self {
            records: Arc::clone(&self.records),
            script: Arc::default(),
        }
    }

    /// Records that hold an answer are refused with `Full`; others find room.
    pub(crate) fn no_room_for_answers(&self, full: bool) {
        self.refuse_answers(full.then_some(StoreErrorKind::Full));
    }

    /// The store's clock steps forward.
    pub(crate) fn step_clock(&self, by: Duration) {
        for (_, written, _) in self.records.lock().unwrap().0.values_mut() {
            *written -= by;
        }
    }

    /// Nothing is written; what is there is still found.
    pub(crate) fn refuse_writes(&self, kind: Option<StoreErrorKind>) {
        self.script.lock().unwrap().refuse_writes = kind;
    }

    fn writes(&self) -> Result<(), StoreError> {
        match self.script.lock().unwrap().refuse_writes {
            Some(kind) => Err(StoreError::new(kind, "not written")),
            None => Ok(()),
        }
    }

    /// Records that hold an answer fail like this; others are taken.
    pub(crate) fn refuse_answers(&self, kind: Option<StoreErrorKind>) {
        self.script.lock().unwrap().refuse_answers = kind;
    }

    /// How many records that hold an answer were refused.
    pub(crate) fn refused_answers(&self) -> usize {
        self.script.lock().unwrap().refused_answers
    }

    /// Updates that leave a record in flight are refused.
    pub(crate) fn refuse_renewals(&self, refuse: bool) {
        self.script.lock().unwrap().refuse_renewals = refuse;
    }

    /// Records that hold an answer never arrive, and nobody says so; others are taken.
    pub(crate) fn hang_answers(&self, hang: bool) {
        self.script.lock().unwrap().hang_answers = hang;
    }

    /// No call is answered.
    pub(crate) fn hang_all(&self, hang: bool) {
        self.script.lock().unwrap().hang_all = hang;
    }

    /// Records with more payload than this are refused.
    pub(crate) fn refuse_larger_than(&self, bytes: usize, kind: StoreErrorKind) {
        self.script.lock().unwrap().refuse_larger_than = Some((bytes, kind));
    }

    /// The next call of this kind meets this fault; several queue up.
    pub(crate) fn fault(&self, op: Op, fault: Fault) -> &Self {
        self.script
            .lock()
            .unwrap()
            .faults
            .entry(op)
            .or_default()
            .push_back(fault);
        self
    }

    /// Every call fails like this until [`up`](Self::up).
    pub(crate) fn down(&self, kind: StoreErrorKind) {
        self.script.lock().unwrap().down = Some(kind);
    }

    pub(crate) fn up(&self) {
        self.script.lock().unwrap().down = None;
    }

    /// How many calls came since this was asked last.
    pub(crate) fn forget_calls(&self) -> usize {
        std::mem::take(&mut self.script.lock().unwrap().calls).len()
    }

    pub(crate) fn calls(&self, op: Op) -> usize {
        self.times(op).len()
    }

    /// When calls of this kind came.
    pub(crate) fn times(&self, op: Op) -> Vec<Instant> {
        let script = self.script.lock().unwrap();
        let calls = script.calls.iter().filter(|(called, _)| *called == op);
        calls.map(|(_, at)| *at).collect()
    }

    /// The most calls of this kind that were under way at once.
    pub(crate) fn most_at_once(&self, op: Op) -> usize {
        let script = self.script.lock().unwrap();
        script.under_way.get(&op).map_or(0, |(_, most)| *most)
    }

    pub(crate) fn state(&self, key: &RecordKey) -> Option<State> {
        self.records
            .lock()
            .unwrap()
            .find(key)
            .map(|stored| stored.record.state)
    }

    pub(crate) fn record(&self, key: &RecordKey) -> Option<Record> {
        self.records
            .lock()
            .unwrap()
            .find(key)
            .map(|stored| stored.record)
    }

    /// What becomes of a record because of what it holds.
    async fn answer(&self, record: &Record) -> Result<(), StoreError> {
        let hangs = {
            let mut script = self.script.lock().unwrap();
            let is_final = record.state.is_final();
            let limit = script.refuse_larger_than;
            let too_large = limit.filter(|(bytes, _)| record.state.bytes() > *bytes);
            let refused = script.refuse_answers.filter(|_| is_final);
            if let Some(kind) = too_large.map(|(_, kind)| kind).or(refused) {
                script.refused_answers += usize::from(is_final);
                return Err(StoreError::new(kind, "not this record"));
            }
            if script.refuse_renewals && !is_final {
                return Err(StoreError::unavailable("no renewals"));
            }
            script.hang_answers && is_final
        };
        if hangs {
            self.script
                .lock()
                .unwrap()
                .calls
                .push((Op::Update, Instant::now()));
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn call<T>(
        &self,
        op: Op,
        apply: impl FnOnce(&mut Records) -> T,
    ) -> Result<T, StoreError> {
        let _under_way = UnderWay::new(self, op);
        let fault = {
            let mut script = self.script.lock().unwrap();
            script.calls.push((op, Instant::now()));
            let hang_all = script.hang_all;
            if let Some(kind) = script.down {
                return Err(StoreError::new(kind, "down"));
            }
            match hang_all {
                true => Some(Fault::Hang),
                false => script.faults.get_mut(&op).and_then(VecDeque::pop_front),
            }
        };
        if fault == Some(Fault::Hang) {
            std::future::pending::<()>().await;
        }
        let reply = apply(&mut self.records.lock().unwrap());
        match fault {
            Some(Fault::LoseReply) => Err(StoreError::unknown("reply lost")),
            Some(Fault::ApplyAndHang) => std::future::pending().await,
            _ => Ok(reply),
        }
    }
}

/// A call that is under way, until it is answered or dropped.
struct UnderWay<'a>(&'a ScriptedStore, Op);

impl<'a> UnderWay<'a> {
    fn new(store: &'a ScriptedStore, op: Op) -> Self {
        let mut script = store.script.lock().unwrap();
        let (now, most) = script.under_way.entry(op).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Self(store, op)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut script = self.0.script.lock().unwrap();
        let entry = script.under_way.get_mut(&self.1);
        entry.unwrap().0 -= 1;
    }
}

impl Records {
    fn find(&mut self, key: &RecordKey) -> Option<Stored> {
        let (record, written, ttl) = self.0.get(key)?;
        let age = written.elapsed();
        (age < *ttl).then(|| Stored {
            record: record.clone(),
            age: Some(age),
            remaining: Some(*ttl - age),
        })
    }

    fn put(&mut self, key: &RecordKey, record: &Record, ttl: Duration) {
        self.0
            .insert(key.clone(), (record.clone(), Instant::now(), ttl));
    }
}

#[async_trait]
impl Store for ScriptedStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        if self.records.lock().unwrap().find(key).is_none() {
            self.writes()?;
        }
        self.call(Op::Create, |records| match records.find(key) {
            Some(found) => Created::Exists(found),
            None => {
                records.put(key, record, ttl);
                Created::New
            }
        })
        .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.answer(record).await?;
        self.writes()?;
        self.call(Op::Update, |records| match records.find(key) {
            Some(found) if found.record.version == expected => {
                records.put(key, record, ttl);
                Updated::Done
            }
            found => Updated::Conflict(found),
        })
        .await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.call(Op::Delete, |records| match records.find(key) {
            Some(found) if found.record.version == expected => {
                records.0.remove(key);
                Deleted::Done
            }
            found => Deleted::Conflict(found),
        })
        .await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.call(Op::Get, |records| records.find(key)).await
    }
}
