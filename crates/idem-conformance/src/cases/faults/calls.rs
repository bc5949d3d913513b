//! S9, S10 and G5 of the four operations.

use std::fmt::Debug;

use idem_core::store::{Created, Deleted, StoreError, StoreErrorKind, Updated};

use super::Scene;
use crate::{
    Fault, Harness, Verdict,
    call::{expect_record, look, put, when_back, why},
    sample::{self, LONG},
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

/// An error says what is known of its write; an answer that never came says nothing.
#[track_caller]
fn expect_honest<T: Debug>(told: &Option<Result<T, StoreError>>, applied: bool) {
    match told {
        None => {}
        Some(Err(error)) => {
            expect_transient(error);
            assert!(
                !applied || error.kind() == StoreErrorKind::Unknown,
                "S9: it was applied, but the error says it was not: {}",
                why(error)
            );
        }
        Some(Ok(answer)) => panic!("S9: this cannot be answered: {answer:?}"),
    }
}

#[track_caller]
fn expect_transient(error: &StoreError) {
    assert!(
        error.kind().is_transient(),
        "S9: a fault on the way is `Unavailable` or `Unknown`, not {:?}: {}",
        error.kind(),
        why(error)
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
