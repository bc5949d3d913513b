//! G5, G6, S9, S10 under faults: a lost reply is not a lost operation, and an error says what is
//! known of the write.

use std::{fmt::Debug, future::Future, sync::Arc};

use idem_core::{
    Claim, Created, Deleted, HoldError, Idempotency, Policy, Record, RecordKey, Recording, State,
    Store, StoreError, StoreErrorKind, Updated,
};

use crate::{
    Fault, Faults, Harness, Skipped, Verdict,
    call::{CALL, expect_record, look, put, record_at, remove, replace, scaled, when_back},
    case::needs,
    engine::{self, acquire, expect_replay, expect_stored, patient, request},
    sample::{self, Keys, LONG},
};

/// **G5, S9.** The reply to a create is lost: the error does not claim that nothing was written,
/// and sent again it finds itself.
pub async fn g5_a_create_whose_reply_is_lost(harness: &dyn Harness) -> Verdict {
    create_under(harness, Fault::LoseReply).await
}

/// **G5, S9.** A create is lost on its way: sent again it is new.
pub async fn g5_a_create_that_is_lost(harness: &dyn Harness) -> Verdict {
    create_under(harness, Fault::LoseRequest).await
}

/// **G5, S9.** The reply to an update is lost: sent again it finds itself.
pub async fn g5_an_update_whose_reply_is_lost(harness: &dyn Harness) -> Verdict {
    update_under(harness, Fault::LoseReply).await
}

/// **G5, S9.** An update is lost on its way: sent again it is done.
pub async fn g5_an_update_that_is_lost(harness: &dyn Harness) -> Verdict {
    update_under(harness, Fault::LoseRequest).await
}

/// **G5, S9.** The reply to a delete is lost: sent again it finds nothing.
pub async fn g5_a_delete_whose_reply_is_lost(harness: &dyn Harness) -> Verdict {
    delete_under(harness, Fault::LoseReply).await
}

/// **G5, S9.** A delete is lost on its way: sent again it is done.
pub async fn g5_a_delete_that_is_lost(harness: &dyn Harness) -> Verdict {
    delete_under(harness, Fault::LoseRequest).await
}

/// **S9.** The reply to a get is lost: that is an error and never "absent", and the next one has
/// its own answer.
pub async fn s9_a_get_whose_reply_is_lost_is_never_absent(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::LoseReply, Fault::LoseRequest, Fault::Down] {
        let scene = Scene::new(harness).await?;
        let (key, claim) = (scene.keys.random(), sample::claim());
        put(&*scene.truth, &key, &claim, LONG).await;
        let answer = scene.strike(fault, scene.store.get(&key)).await?;
        match answer {
            None => {}
            Some(Ok(found)) => {
                let found = found.map(|stored| stored.record);
                assert_eq!(
                    found,
                    Some(claim.clone()),
                    "S9: a failed get is not absence"
                );
            }
            Some(Err(error)) => expect_transient(&error),
        }
        let found = when_back(harness, "get", || scene.store.get(&key)).await;
        assert_eq!(
            found.map(|stored| stored.record),
            Some(claim),
            "S10: usable again"
        );
    }
    Ok(())
}

/// **S9.** Where the store cannot be reached, all four operations say so, and nothing is written.
pub async fn s9_a_store_out_of_reach_says_so(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await?;
    let (there, absent) = (scene.keys.random(), scene.keys.random());
    let claim = sample::claim();
    put(&*scene.truth, &there, &claim, LONG).await;
    let done = sample::completed(&claim, "answer");

    scene.faults.inject(Fault::Down).await?;
    let store = &scene.store;
    expect_failure(scene.wait(store.get(&there)).await);
    expect_failure(scene.wait(store.create(&absent, &claim, LONG)).await);
    expect_failure(
        scene
            .wait(store.update(&there, claim.version, &done, LONG))
            .await,
    );
    expect_failure(scene.wait(store.delete(&there, claim.version)).await);
    scene.faults.heal().await;

    expect_record(&*scene.truth, &there, &claim, "S9: nothing was written").await;
    assert_eq!(
        look(&*scene.truth, &absent).await,
        None,
        "S9: nothing was written"
    );
    let found = when_back(harness, "get", || store.get(&there)).await;
    assert_eq!(
        found.map(|stored| stored.record),
        Some(claim),
        "S10: usable again"
    );
    Ok(())
}

/// **S10.** A call that hangs can be given up, and the store is usable when the trouble is over.
pub async fn s10_a_call_that_hangs_can_be_given_up(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await?;
    let (key, record) = (scene.keys.random(), sample::claim());
    let create = || scene.store.create(&key, &record, LONG);
    if let Some(Ok(created)) = scene.strike(Fault::Hang, create()).await? {
        panic!("S9: no reply came, but the create answered {created:?}");
    }
    match when_back(harness, "create", create).await {
        Created::New => {}
        Created::Exists(found) => assert_eq!(found.record, record, "G5: it finds itself"),
    }
    expect_record(&*scene.truth, &key, &record, "S10: it is there, whole").await;
    Ok(())
}

/// **G5.** A claim whose reply was lost is *acquired* by its caller, and not answered as in flight.
pub async fn g5_a_claim_whose_reply_is_lost_is_acquired(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::LoseReply, Fault::LoseRequest] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        scene.faults.inject(fault).await?;
        let execution = acquire(&scene.engine, &key).await;
        assert_eq!(execution.attempt(), 1, "G5: it is the first claim");
        scene.faults.heal().await;
        expect_stored(execution.complete("done").await);
        scene.expect_replayed(&key, b"done").await;
    }
    Ok(())
}

/// **G5, G2.** A completion whose reply was lost is stored once, and its caller is told so, now or
/// in the background.
pub async fn g5_a_completion_whose_reply_is_lost_is_stored(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::LoseReply, Fault::LoseRequest] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        let execution = acquire(&scene.engine, &key).await;
        scene.faults.inject(fault).await?;
        let told = execution.complete("done").await;
        expect_recorded(told);
        scene.faults.heal().await;
        scene.engine.drained().await;
        scene.expect_replayed(&key, b"done").await;
    }
    Ok(())
}

/// **G5.** A retryable ending whose reply was lost is stored.
pub async fn g5_a_retryable_ending_whose_reply_is_lost_is_stored(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::LoseReply, Fault::LoseRequest] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        let execution = acquire(&scene.engine, &key).await;
        scene.faults.inject(fault).await?;
        let told = execution.fail_retryable().await;
        expect_recorded(told);
        scene.faults.heal().await;
        scene.engine.drained().await;
        let state = record_at(&*scene.truth, &key).await.map(|r| r.state);
        assert_eq!(state, Some(State::Retryable { checkpoint: None }), "G5");
    }
    Ok(())
}

/// **G5.** A release whose reply was lost is a release.
pub async fn g5_a_release_whose_reply_is_lost_is_a_release(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::LoseReply, Fault::LoseRequest] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        let execution = acquire(&scene.engine, &key).await;
        scene.faults.inject(fault).await?;
        let told = execution.release().await;
        expect_recorded(told);
        scene.faults.heal().await;
        scene.engine.drained().await;
        assert_eq!(look(&*scene.truth, &key).await, None, "G5: it is released");
    }
    Ok(())
}

/// **G5, G3.** A checkpoint whose reply was lost is stored, and does not cost its holder the key.
pub async fn g5_a_checkpoint_whose_reply_is_lost_is_stored(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::LoseReply, Fault::LoseRequest] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        let execution = acquire(&scene.engine, &key).await;
        scene.faults.inject(fault).await?;
        let left = execution.checkpoint("step 2").await;
        assert!(left.is_ok(), "G5: nobody else owns the key: {left:?}");
        scene.faults.heal().await;
        let renewed: Result<(), HoldError> = execution.renew().await;
        assert!(renewed.is_ok(), "G5: the holder goes on: {renewed:?}");
        let record = record_at(&*scene.truth, &key).await;
        let checkpoint = record.and_then(|record| match record.state {
            State::InFlight { checkpoint, .. } => checkpoint,
            _ => None,
        });
        assert_eq!(
            checkpoint.as_deref(),
            Some(&b"step 2"[..]),
            "G5: it is stored"
        );
        expect_stored(execution.complete("done").await);
    }
    Ok(())
}

/// **G6.** While the store is out of reach a claim fails and nothing runs; afterwards the key is
/// free.
pub async fn g6_nothing_runs_while_the_store_is_out_of_reach(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::Down, Fault::Hang] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        let engine = engine::over(scene.store.clone(), brief(harness));
        scene.faults.inject(fault).await?;
        let told = engine.claim(&key, &request()).await;
        assert!(
            told.is_err(),
            "G6: out of reach, but the claim is told {told:?}"
        );
        scene.faults.heal().await;
        // What may have been applied unnoticed is taken back.
        engine.drained().await;
        let claimed = when_back(harness, "claim", async || {
            let claim = scene.engine.claim(&key, &request()).await;
            claim.map_err(|error| error.source)
        });
        match claimed.await {
            Claim::Acquired(execution) => {
                expect_stored(execution.release().await);
            }
            other => panic!("G6: nobody holds the key, but the claim is told {other:?}"),
        }
    }
    Ok(())
}

/// **G5, G2.** A completion while the store is out of reach is not lost: it lands in the
/// background once the store is back.
pub async fn g5_a_completion_during_an_outage_lands(harness: &dyn Harness) -> Verdict {
    for fault in [Fault::Down, Fault::Hang] {
        let scene = Scene::new(harness).await?;
        let key = scene.keys.random();
        let engine = engine::over(scene.store.clone(), brief(harness));
        let execution = acquire(&engine, &key).await;
        scene.faults.inject(fault).await?;
        let told = execution.complete("done").await;
        assert_eq!(told, Ok(Recording::Pending), "G5: it cannot be stored yet");
        scene.faults.heal().await;
        engine.drained().await;
        scene.expect_replayed(&key, b"done").await;
    }
    Ok(())
}

async fn create_under(harness: &dyn Harness, fault: Fault) -> Verdict {
    let scene = Scene::new(harness).await?;
    let (key, record) = (scene.keys.random(), sample::claim());
    let create = || scene.store.create(&key, &record, LONG);
    let told = scene.strike(fault, create()).await?;
    let applied = scene.applied(&key, &record).await;
    match &told {
        Some(Ok(Created::New)) => assert!(applied, "S9: new, but nothing is there"),
        Some(Ok(Created::Exists(found))) => assert_eq!(found.record, record, "G5: itself"),
        other => expect_honest(other, applied),
    }
    match when_back(harness, "create", create).await {
        Created::New => assert!(!applied, "S1: it was there already"),
        Created::Exists(found) => assert_eq!(found.record, record, "G5: it finds itself"),
    }
    expect_record(&*scene.truth, &key, &record, "G5: it is there now").await;
    Ok(())
}

async fn update_under(harness: &dyn Harness, fault: Fault) -> Verdict {
    let scene = Scene::new(harness).await?;
    let (key, claim) = (scene.keys.random(), sample::claim());
    put(&*scene.truth, &key, &claim, LONG).await;
    let done = sample::completed(&claim, "answer");
    let update = || scene.store.update(&key, claim.version, &done, LONG);
    let told = scene.strike(fault, update()).await?;
    let applied = scene.applied(&key, &done).await;
    match &told {
        Some(Ok(Updated::Done)) => assert!(applied, "S9: done, but it is not there"),
        Some(Ok(Updated::Conflict(found))) => {
            let found = found.as_ref().map(|stored| &stored.record);
            assert_eq!(found, Some(&done), "G5: it finds itself");
        }
        other => expect_honest(other, applied),
    }
    match when_back(harness, "update", update).await {
        Updated::Done => assert!(!applied, "S2: its version was gone already"),
        Updated::Conflict(found) => {
            let found = found.map(|stored| stored.record);
            assert_eq!(found.as_ref(), Some(&done), "G5: it finds itself");
        }
    }
    expect_record(&*scene.truth, &key, &done, "G5: it is there now").await;
    Ok(())
}

async fn delete_under(harness: &dyn Harness, fault: Fault) -> Verdict {
    let scene = Scene::new(harness).await?;
    let (key, claim) = (scene.keys.random(), sample::claim());
    put(&*scene.truth, &key, &claim, LONG).await;
    let delete = || scene.store.delete(&key, claim.version);
    let told = scene.strike(fault, delete()).await?;
    let applied = look(&*scene.truth, &key).await.is_none();
    match &told {
        Some(Ok(Deleted::Done)) => assert!(applied, "S9: done, but it is there still"),
        Some(Ok(Deleted::Conflict(found))) => assert_eq!(*found, None, "G5: it is gone"),
        other => expect_honest(other, applied),
    }
    match when_back(harness, "delete", delete).await {
        Deleted::Done => assert!(!applied, "S3: it was gone already"),
        Deleted::Conflict(found) => assert_eq!(found, None, "G5: it is gone"),
    }
    assert_eq!(look(&*scene.truth, &key).await, None, "G5: it is gone now");
    Ok(())
}

/// A handle that faults hit, warmed up, and one that they do not hit.
struct Scene {
    faults: Box<dyn Faults>,
    store: Arc<dyn Store>,
    truth: Arc<dyn Store>,
    engine: Idempotency,
    keys: Keys,
    patience: std::time::Duration,
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
            engine: engine::over(store.clone(), policy.clone()),
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
        let engine = engine::over(self.truth.clone(), self.policy.clone());
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

/// A policy that gives up soon.
fn brief(harness: &dyn Harness) -> Policy {
    let soon = std::time::Duration::from_millis(200);
    patient(harness)
        .retry_budget(scaled(harness, soon))
        .call_timeout(scaled(harness, soon))
}

/// An error says what is known of its write; an answer that never came says nothing.
#[track_caller]
fn expect_honest<T: Debug>(told: &Option<Result<T, StoreError>>, applied: bool) {
    match told {
        None => {}
        Some(Err(error)) => {
            expect_transient(error);
            assert!(
                !applied || error.kind() == StoreErrorKind::Unknown,
                "S9: it was applied, but the error says it was not: {error}"
            );
        }
        Some(Ok(answer)) => panic!("S9: this cannot be answered: {answer:?}"),
    }
}

#[track_caller]
fn expect_transient(error: &StoreError) {
    assert!(
        error.kind().is_transient(),
        "S9: a fault on the way is `Unavailable` or `Unknown`, not {:?}: {error}",
        error.kind()
    );
}

#[track_caller]
fn expect_failure<T: Debug>(told: Option<Result<T, StoreError>>) {
    match told {
        None => {}
        Some(Err(error)) => expect_transient(&error),
        Some(Ok(answer)) => panic!("S9: out of reach, but the store answers {answer:?}"),
    }
}

#[track_caller]
fn expect_recorded(told: Result<Recording, idem_core::Superseded>) {
    assert!(
        matches!(told, Ok(Recording::Stored | Recording::Pending)),
        "G5: nobody else owns the key, but the holder is told {told:?}"
    );
}
