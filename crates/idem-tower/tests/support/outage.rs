//! A store whose connection can be cut.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    Idempotency, Policy, RecordKey,
    store::{
        Created, Deleted, Record, State, Store, StoreError, StoreErrorKind, Stored, Updated,
        Version,
    },
};
use idem_memory::MemoryStore;

/// The switch of a [`cuttable`] store.
#[derive(Clone, Default)]
pub struct Cable {
    cut: Arc<AtomicBool>,
    misconfigured: Arc<AtomicBool>,
    /// How many calls are left until the cable is cut; 0 for no such bound.
    left: Arc<AtomicUsize>,
    /// How large an answer may be, and what is said of one that is larger.
    room: Arc<Mutex<Option<(usize, StoreErrorKind)>>>,
}

impl Cable {
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Lets this many more calls through.
    pub fn cut_after(&self, calls: usize) {
        self.left.store(calls, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    /// The store refuses as one whose password is wrong does.
    pub fn misconfigure(&self) {
        self.misconfigured.store(true, Ordering::SeqCst);
    }

    /// The store takes no answer of more bytes than this.
    pub fn refuse_over(&self, bytes: usize, refusal: StoreErrorKind) {
        *self.room.lock().unwrap() = Some((bytes, refusal));
    }

    /// It takes all answers.
    pub fn make_room(&self) {
        *self.room.lock().unwrap() = None;
    }

    fn check_room(&self, state: &State) -> Result<(), StoreError> {
        let (State::Completed { payload } | State::Failed { payload }) = state else {
            return Ok(());
        };
        match *self.room.lock().unwrap() {
            Some((most, refusal)) if payload.len() > most => {
                Err(StoreError::new(refusal, "there is no room for the answer"))
            }
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.misconfigured.load(Ordering::SeqCst) {
            return Err(StoreError::config("the password is wrong"));
        }
        if self.cut.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the cable is cut"));
        }
        if self.left.load(Ordering::SeqCst) > 0 && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.cut();
        }
        Ok(())
    }
}

struct Cuttable {
    store: MemoryStore,
    cable: Cable,
}

#[async_trait]
impl Store for Cuttable {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.cable.check()?;
        self.store.create(key, record, ttl).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.cable.check()?;
        self.cable.check_room(&record.state)?;
        self.store.update(key, expected, record, ttl).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.cable.check()?;
        self.store.delete(key, expected).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.cable.check()?;
        self.store.get(key).await
    }
}

/// An engine over a memory store behind a cable. A claim asks once.
pub fn cuttable(policy: Policy) -> (Idempotency, Cable) {
    let cable = Cable::default();
    let store = Cuttable {
        store: MemoryStore::default(),
        cable: cable.clone(),
    };
    let policy = policy.retry_budget(Duration::ZERO);
    let idem = Idempotency::builder(store).policy(policy).build().unwrap();
    (idem, cable)
}
