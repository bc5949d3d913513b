//! G5, G6, S9, S10 under faults: a lost reply is not a lost operation, and an error says what is
//! known of the write.

mod calls;
mod engine;

pub use calls::*;
pub use engine::*;

use std::{sync::Arc, time::Duration};

use idem_core::{
    Idempotency, Policy, RecordKey,
    store::{Record, Store, StoreError},
};

use crate::{
    Fault, Faults, Harness, Skipped,
    call::{CALL, look, put, record_at, remove, replace, scaled},
    case::needs,
    engine::{expect_replay, over, patient},
    sample::{self, Keys, LONG},
};

/// A handle that faults hit, warmed up, and one that they do not hit.
struct Scene {
    faults: Box<dyn Faults>,
    store: Arc<dyn Store>,
    truth: Arc<dyn Store>,
    engine: Idempotency,
    keys: Keys,
    patience: Duration,
    policy: Policy,
}

impl Scene {
    async fn new(harness: &dyn Harness) -> Result<Self, Skipped> {
        let faults = needs(harness.faults().await, "way to lose calls and replies")?;
        let (store, truth) = (faults.store().await, faults.truth().await);
        let keys = Keys::draw(harness);
        warm_up(&*store, &keys.random()).await;
        let policy = patient(harness).call_timeout(scaled(harness, CALL));
        Ok(Self {
            engine: over(store.clone(), policy.clone()),
            faults,
            store,
            truth,
            keys,
            patience: scaled(harness, CALL),
            policy,
        })
    }

    /// Sends one call under a fault, heals, and gives its answer; `None` when none came.
    async fn strike<T>(
        &self,
        fault: Fault,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Option<Result<T, StoreError>>, Skipped> {
        self.faults.inject(fault).await?;
        let answer = self.wait(call).await;
        self.faults.heal().await;
        Ok(answer)
    }

    /// Waits for an answer as long as anybody would; gives the call up when none comes.
    async fn wait<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<Result<T, StoreError>> {
        tokio::time::timeout(self.patience, call).await.ok()
    }

    async fn applied(&self, key: &RecordKey, record: &Record) -> bool {
        record_at(&*self.truth, key).await.as_ref() == Some(record)
    }

    async fn expect_replayed(&self, key: &RecordKey, payload: &[u8]) {
        let engine = over(self.truth.clone(), self.policy.clone());
        expect_replay(&engine, key, payload).await;
    }
}

/// Sends one call of each kind, so that connections are open and scripts are known, and a fault
/// hits the call that it is meant for.
async fn warm_up(store: &dyn Store, key: &RecordKey) {
    let claim = sample::claim();
    assert_eq!(look(store, key).await, None);
    put(store, key, &claim, LONG).await;
    let done = sample::completed(&claim, "answer");
    replace(store, key, claim.version, &done, LONG).await;
    remove(store, key, done.version).await;
}
