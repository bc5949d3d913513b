//! G2, G3, G5 and G6 of the engine.

use std::time::Duration;

use idem_core::{
    Claim, Policy, Recording,
    error::{HoldError, Superseded},
    store::State,
};

use super::Scene;
use crate::{
    Fault, Harness, Verdict,
    call::{look, record_at, scaled, when_back},
    engine::{self, acquire, expect_stored, patient, request},
};

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
        scene.engine.wait_idle().await;
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
        scene.engine.wait_idle().await;
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
        scene.engine.wait_idle().await;
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
        engine.wait_idle().await;
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
        engine.wait_idle().await;
        scene.expect_replayed(&key, b"done").await;
    }
    Ok(())
}

/// A policy that gives up soon.
fn brief(harness: &dyn Harness) -> Policy {
    let soon = Duration::from_millis(200);
    patient(harness)
        .retry_budget(scaled(harness, soon))
        .call_timeout(scaled(harness, soon))
}

#[track_caller]
fn expect_recorded(told: Result<Recording, Superseded>) {
    assert!(
        matches!(told, Ok(Recording::Stored | Recording::Pending)),
        "G5: nobody else owns the key, but the holder is told {told:?}"
    );
}
