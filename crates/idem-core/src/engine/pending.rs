//! Endings that the store has not taken yet.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Idempotency, call::Budget};
use crate::{RecordKey, execution::Held, machine::Holding, observe};

/// What is still to be stored, by key.
///
/// A claim in this process lands a pending ending of its key first: otherwise, once the store is
/// back, it could find a lease that ran out during the outage and run the work a second time.
#[derive(Default)]
pub(crate) struct PendingEndings {
    endings: Mutex<HashMap<RecordKey, Arc<PendingEnding>>>,
    count: AtomicUsize,
}

pub(super) struct PendingEnding {
    held: Arc<Held>,
    name: &'static str,
}

impl PendingEnding {
    /// Asks the store once; the task that goes on asking learns of it.
    pub(super) async fn land(&self) {
        let _ = self.held.try_end().await;
    }
}

impl PendingEndings {
    fn get(&self, key: &RecordKey) -> Option<Arc<PendingEnding>> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.lock().get(key).cloned()
    }

    fn insert(&self, pending: &Arc<PendingEnding>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.lock()
            .insert(pending.held.key.clone(), Arc::clone(pending));
    }

    fn remove(&self, pending: &Arc<PendingEnding>) {
        let mut endings = self.lock();
        if endings
            .get(&pending.held.key)
            .is_some_and(|found| Arc::ptr_eq(found, pending))
        {
            endings.remove(&pending.held.key);
        }
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RecordKey, Arc<PendingEnding>>> {
        self.endings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idempotency {
    /// This process's pending ending of a key, to be landed before the key is claimed again.
    pub(super) fn pending_ending(&self, key: &RecordKey) -> Option<Arc<PendingEnding>> {
        self.shared().pending.get(key)
    }

    /// Goes on storing an ending off the caller's path until it lands, is superseded, or the
    /// retention is over.
    pub(crate) fn end_in_background(&self, held: &Arc<Held>) {
        let Some(name) = held.ending() else {
            return;
        };
        observe::ending_pending();
        let held = Arc::clone(held);
        let pending = Arc::new(PendingEnding { held, name });
        self.shared().pending.insert(&pending);
        let guard = Registered {
            engine: self.clone(),
            pending,
        };
        self.shared().spawn(async move { guard.run().await });
    }

    /// Gives back a claim whose caller never learned of it.
    pub(super) fn disown(&self, key: &RecordKey, holding: Holding) {
        let held = Held::new(self.clone(), key.clone(), holding);
        self.end_in_background(&Arc::new(held));
    }
}

/// A pending ending stays registered until its task ends, however it ends.
struct Registered {
    engine: Idempotency,
    pending: Arc<PendingEnding>,
}

impl Registered {
    async fn run(&self) {
        let PendingEnding { held, name } = &*self.pending;
        let policy = self.engine.policy();
        let mut budget =
            Budget::new(policy.retention).longest_pause((policy.lease / 3).min(LONGEST_PAUSE));
        while let Some(pause) = budget.next_pause(&self.engine) {
            tokio::time::sleep(pause).await;
            match held.try_end().await {
                Ok(_) => return,
                // A store without room for the answer may still have room to keep the key.
                Err(error) if !error.kind().is_transient() => {
                    let _ = held.renew_once().await;
                }
                Err(_) => {}
            }
        }
        observe::ending_lost(&held.key, name);
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Drop for Registered {
    fn drop(&mut self) {
        self.engine.shared().pending.remove(&self.pending);
        observe::ending_settled();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use async_trait::async_trait;

    use super::*;
    use crate::{
        Created, Deleted, Fingerprint, IdempotencyKey, Record, Scope, Store, StoreError, Stored,
        Updated, Version, machine::Claiming,
    };

    /// Takes whatever it is told.
    struct Willing;

    #[async_trait]
    impl Store for Willing {
        async fn create(
            &self,
            _: &RecordKey,
            _: &Record,
            _: Duration,
        ) -> Result<Created, StoreError> {
            Ok(Created::New)
        }

        async fn update(
            &self,
            _: &RecordKey,
            _: Version,
            _: &Record,
            _: Duration,
        ) -> Result<Updated, StoreError> {
            Ok(Updated::Done)
        }

        async fn delete(&self, _: &RecordKey, _: Version) -> Result<Deleted, StoreError> {
            Ok(Deleted::Done)
        }

        async fn get(&self, _: &RecordKey) -> Result<Option<Stored>, StoreError> {
            Ok(None)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ending_that_landed_is_forgotten() {
        let engine = Idempotency::builder(Willing).build().unwrap();
        let key = Scope::global().key(&IdempotencyKey::new("k").unwrap());
        let mut claiming = Claiming::new(engine.request(&Fingerprint::of("test/v1", b"a")));
        let _ = claiming.next();
        engine.disown(&key, claiming.give_up().unwrap());
        assert!(engine.pending_ending(&key).is_some());
        engine.drained().await;
        assert!(engine.pending_ending(&key).is_none());
        let pending = &engine.shared().pending;
        assert!(pending.lock().is_empty(), "nothing is left of it");
        assert_eq!(pending.count.load(Ordering::SeqCst), 0);
    }
}
