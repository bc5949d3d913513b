//! G1: a lease is over when the store's clock says so, not before, and not by itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    Abandonment, Claim, Idempotency, OnAbandoned, Policy, ProbeResult, Prober, RecordKey, Refused,
    Resolution, spi::Ran,
};
use tokio::time::Instant;

use super::{GRAIN, SHORT};
use crate::{
    Harness, Verdict,
    call::{all, ok, record_at, scaled, until},
    engine::{self, acquire, claim, expect_replay, expect_stored, patient, request},
    sample::Keys,
};

/// **G1.** A lease that ran out is taken over, with the next attempt number and the checkpoint;
/// and not before it ran out.
pub async fn g1_a_lease_that_ran_out_is_taken_over(harness: &dyn Harness) -> Verdict {
    let key = Keys::draw(harness).random();
    let lease = scaled(harness, 2 * SHORT);
    let ours = engine::fresh(harness, patient(harness).lease(lease)).await;
    let theirs = engine::fresh(harness, patient(harness)).await;

    let execution = acquire(&ours, &key).await;
    let renewed = Instant::now();
    let checkpoint = execution.checkpoint("step 2").await;
    assert!(checkpoint.is_ok(), "nobody took over: {checkpoint:?}");
    let successor = taken_over(harness, &theirs, &key).await;
    assert!(
        renewed.elapsed() + GRAIN >= lease,
        "G1: taken over {:?} after a renewal of a lease of {lease:?}",
        renewed.elapsed()
    );
    assert_eq!(successor.attempt(), 2, "G1: the fencing number grows");
    assert_eq!(
        successor.previous_checkpoint().map(|bytes| &**bytes),
        Some(&b"step 2"[..]),
        "G8: the checkpoint is handed on"
    );
    drop(execution);
    Ok(())
}

/// **G1.** A holder whose lease ran out and whom nobody replaced may still complete.
pub async fn g1_a_lapsed_lease_that_nobody_claimed_may_still_complete(
    harness: &dyn Harness,
) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let lease = scaled(harness, SHORT);
    let engine = engine::over(store.clone(), patient(harness).lease(lease));
    let execution = acquire(&engine, &key).await;
    until_lapsed(harness, &engine, &key, lease).await;
    expect_stored(execution.complete("late").await);
    let other = engine::fresh(harness, patient(harness)).await;
    expect_replay(&other, &key, b"late").await;
    Ok(())
}

/// **G1.** Work that takes longer than its lease keeps it: it is renewed while it runs.
pub async fn g1_work_that_outlasts_its_lease_keeps_it(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let lease = scaled(harness, 2 * SHORT);
    let engine = engine::over(store.clone(), patient(harness).lease(lease));
    let execution = acquire(&engine, &key).await;
    let started = Instant::now();
    let work = until(
        harness,
        "G1: the lease is renewed while the work runs",
        || async {
            let record = record_at(&*store, &key).await?;
            let renewals = record.version.revision.saturating_sub(1);
            (renewals >= 3 && started.elapsed() >= lease).then_some(())
        },
    );
    match execution.run(work).await {
        Ran::Finished(()) => {}
        Ran::Stopped(why) => panic!("G1: nobody took over, but the work was stopped: {why:?}"),
    }
    expect_stored(execution.complete("done").await);
    expect_replay(&engine, &key, b"done").await;
    Ok(())
}

/// **G1, G8.** Under `OnAbandoned::Halt` a vanished execution is reported and never run again,
/// until somebody resolves it.
pub async fn g1_halt_leaves_an_abandoned_key_alone(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let policy = patient(harness).on_abandoned(OnAbandoned::Halt);
    abandon(harness, &key).await;
    let engine = engine::over(store.clone(), policy);
    let before = record_at(&*store, &key).await;
    for _ in 0..3 {
        match claim(&engine, &key).await {
            Claim::Refused(Refused::Abandoned { attempt: 1 }) => {}
            other => panic!("G8: halted means halted, but the claim is told {other:?}"),
        }
    }
    assert_eq!(
        record_at(&*store, &key).await,
        before,
        "G8: nothing changed"
    );
    let resolution = Resolution::completed_raw("by hand");
    let resolved = engine.resolve(&key, resolution).await;
    assert!(
        resolved.is_ok(),
        "a halted key can be resolved: {resolved:?}"
    );
    expect_replay(&engine, &key, b"by hand").await;
    Ok(())
}

/// **G1, G8.** Under `OnAbandoned::Probe` the prober's verdict decides: committed is replayed, not
/// committed is run again, unknown is left alone.
pub async fn g1_probe_decides_over_an_abandoned_key(harness: &dyn Harness) -> Verdict {
    let keys = Keys::draw(harness);
    for found in [
        ProbeResult::completed_raw("found"),
        ProbeResult::failed_raw("found"),
        ProbeResult::retry(),
        ProbeResult::unknown(),
    ] {
        let key = keys.random();
        abandon(harness, &key).await;
        let policy = patient(harness).on_abandoned(OnAbandoned::probe(Says(found.clone())));
        let engine = engine::fresh(harness, policy).await;
        let name = found.resolution().map_or("unknown", Resolution::name);
        match (name, claim(&engine, &key).await) {
            ("completed", Claim::Replay(replayed)) => {
                assert_eq!(&replayed[..], b"found");
                let other = engine::fresh(harness, patient(harness)).await;
                expect_replay(&other, &key, b"found").await;
            }
            ("failed", Claim::ReplayFailure(replayed)) => {
                assert_eq!(&replayed[..], b"found");
            }
            ("retryable", Claim::Acquired(execution)) => {
                assert_eq!(execution.attempt(), 2, "G1: the fencing number grows");
                expect_stored(execution.release().await);
            }
            ("unknown", Claim::Refused(Refused::Abandoned { attempt: 1 })) => {}
            (_, told) => panic!("G8: found {found:?}, but the claim is told {told:?}"),
        }
    }
    Ok(())
}

/// **G4.** Another request is a mismatch also when the lease ran out: it never takes over.
pub async fn g4_another_request_never_takes_over(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    abandon(harness, &key).await;
    let before = record_at(&*store, &key).await;
    let engine = engine::over(store.clone(), patient(harness));
    let told = engine.claim(&key, &engine::other_request()).await;
    assert!(
        matches!(told, Ok(Claim::Refused(Refused::Mismatch))),
        "G4: {told:?}"
    );
    assert_eq!(
        record_at(&*store, &key).await,
        before,
        "G4: nothing changed"
    );
    Ok(())
}

/// **G1.** Of many that want to take over a lapsed lease exactly one does.
pub async fn g1_single_winner_of_concurrent_takeovers(harness: &dyn Harness) -> Verdict {
    const TASKS: usize = 16;
    let key = Keys::draw(harness).random();
    abandon(harness, &key).await;
    let engines = [
        engine::fresh(harness, patient(harness)).await,
        engine::fresh(harness, patient(harness)).await,
    ];
    let tasks = (0..TASKS).map(|n| {
        let (engine, key) = (engines[n % 2].clone(), key.clone());
        tokio::spawn(async move { claim(&engine, &key).await })
    });
    let mut winners = Vec::new();
    for claim in all(tasks).await {
        match claim {
            Claim::Acquired(execution) => winners.push(execution),
            Claim::Refused(Refused::InFlight { .. }) => {}
            other => panic!("G1: somebody runs it, but a claim is told {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "G1: exactly one of {TASKS} takes over");
    assert_eq!(
        winners[0].attempt(),
        2,
        "G1: the fencing number grows by one"
    );
    Ok(())
}

struct Says(ProbeResult);

#[async_trait]
impl Prober for Says {
    async fn probe(&self, _: &Abandonment) -> ProbeResult {
        self.0.clone()
    }
}

/// Leaves a key behind whose holder is gone and whose lease is over.
async fn abandon(harness: &dyn Harness, key: &RecordKey) {
    let lease = scaled(harness, SHORT);
    let engine = engine::fresh(harness, patient(harness).lease(lease)).await;
    drop(acquire(&engine, key).await);
    until_lapsed(harness, &engine, key, lease).await;
}

async fn until_lapsed(
    harness: &dyn Harness,
    engine: &Idempotency,
    key: &RecordKey,
    lease: Duration,
) {
    until(
        harness,
        "S4: the age of a record in flight passes its lease",
        || async {
            let found = ok("get", engine.lookup(key).await);
            let found = found.expect("S6: a record outlives its lease by the retention");
            (found.age? >= lease).then_some(())
        },
    )
    .await;
}

/// Claims until the holder's lease is over.
pub(super) async fn taken_over(
    harness: &dyn Harness,
    engine: &Idempotency,
    key: &RecordKey,
) -> idem_core::Execution {
    let engine = Arc::new(engine.clone());
    until(
        harness,
        "G1: a lease that ran out can be taken over",
        || {
            let engine = Arc::clone(&engine);
            async move {
                match engine.claim(key, &request()).await {
                    Ok(Claim::Acquired(execution)) => Some(execution),
                    Ok(Claim::Refused(Refused::InFlight { .. })) => None,
                    other => panic!("G1: the key is in flight, but a claim is told {other:?}"),
                }
            }
        },
    )
    .await
}

/// A policy whose lease is over soon.
pub(super) fn hasty(harness: &dyn Harness) -> Policy {
    patient(harness).lease(scaled(harness, SHORT))
}
