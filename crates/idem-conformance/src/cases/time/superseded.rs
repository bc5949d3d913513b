//! G3: a superseded execution can change nothing, and is told so.

use idem_core::{
    Execution, Idempotency, RecordKey,
    error::HoldError,
    spi::{Ran, Stopped},
    store::Record,
};

use super::lease::{hasty, taken_over};
use crate::{
    Harness, Verdict,
    call::{look, record_at},
    engine::{self, acquire, expect_replay, expect_stored, expect_superseded, patient},
    sample::Keys,
};

/// **G3.** After a takeover `complete` answers `Superseded` and changes nothing.
pub async fn g3_a_superseded_complete_changes_nothing(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    expect_superseded(scene.first.complete("stale").await);
    scene.rest.expect_unchanged().await;
    scene.rest.finish().await;
    Ok(())
}

/// **G3.** After a takeover `fail` answers `Superseded` and changes nothing.
pub async fn g3_a_superseded_fail_changes_nothing(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    expect_superseded(scene.first.fail("stale").await);
    scene.rest.expect_unchanged().await;
    scene.rest.finish().await;
    Ok(())
}

/// **G3.** After a takeover `fail_retryable` answers `Superseded` and changes nothing.
pub async fn g3_a_superseded_fail_retryable_changes_nothing(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    expect_superseded(scene.first.fail_retryable().await);
    scene.rest.expect_unchanged().await;
    scene.rest.finish().await;
    Ok(())
}

/// **G3.** After a takeover `release` answers `Superseded` and removes nothing.
pub async fn g3_a_superseded_release_changes_nothing(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    expect_superseded(scene.first.release().await);
    scene.rest.expect_unchanged().await;
    scene.rest.finish().await;
    Ok(())
}

/// **G3.** After a takeover `renew` answers `Superseded` and renews nothing.
pub async fn g3_a_superseded_renew_changes_nothing(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    expect_step_superseded(&scene.first.renew().await);
    scene.rest.expect_unchanged().await;
    scene.rest.finish().await;
    Ok(())
}

/// **G3.** After a takeover `checkpoint` answers `Superseded` and leaves nothing.
pub async fn g3_a_superseded_checkpoint_changes_nothing(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    expect_step_superseded(&scene.first.checkpoint("stale").await);
    scene.rest.expect_unchanged().await;
    scene.rest.finish().await;
    Ok(())
}

/// **G3.** Work that is superseded while it runs is stopped by its next renewal.
pub async fn g3_superseded_work_is_stopped(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    match scene.first.run(std::future::pending::<()>()).await {
        Ran::Stopped(Stopped::Superseded) => {}
        other => panic!("G3: the work is superseded, but it ended as {other:?}"),
    }
    scene.rest.expect_unchanged().await;
    Ok(())
}

/// **G3.** A completion that comes after the successor ended finds its answer, not its own: the
/// first ending wins.
pub async fn g3_a_completion_after_the_successors_is_superseded(harness: &dyn Harness) -> Verdict {
    let scene = Scene::new(harness).await;
    scene.rest.finish().await;
    expect_superseded(scene.first.complete("stale").await);
    let engine = engine::fresh(harness, patient(harness)).await;
    expect_replay(&engine, &scene.key, b"the successor's").await;
    Ok(())
}

/// **G3.** A completion that comes after the successor released the key finds nothing, and leaves
/// nothing.
pub async fn g3_a_completion_after_a_release_leaves_nothing(harness: &dyn Harness) -> Verdict {
    let Scene { first, rest, key } = Scene::new(harness).await;
    expect_stored(rest.second.release().await);
    expect_superseded(first.complete("stale").await);
    let store = harness.store().await;
    assert_eq!(look(&*store, &key).await, None, "G3: the key stays free");
    let anew = acquire(&engine::fresh(harness, patient(harness)).await, &key).await;
    assert_eq!(anew.attempt(), 1, "a released key is as new");
    Ok(())
}

/// **G3.** A completion that comes after the key was released and claimed anew does not land on
/// the new claim.
pub async fn g3_a_completion_never_lands_on_a_new_claim(harness: &dyn Harness) -> Verdict {
    let Scene { first, rest, key } = Scene::new(harness).await;
    expect_stored(rest.second.release().await);
    let engine = engine::fresh(harness, patient(harness)).await;
    let anew = acquire(&engine, &key).await;
    expect_superseded(first.complete("stale").await);
    expect_stored(anew.complete("fresh").await);
    expect_replay(&engine, &key, b"fresh").await;
    Ok(())
}

/// A stalled execution, and the one that took over from it.
struct Scene {
    first: Execution,
    rest: Rest,
    key: RecordKey,
}

/// All but the stalled execution.
struct Rest {
    second: Execution,
    engine: Idempotency,
    store: std::sync::Arc<dyn idem_core::store::Store>,
    key: RecordKey,
    record: Option<Record>,
}

impl Scene {
    async fn new(harness: &dyn Harness) -> Self {
        let (store, key) = (harness.store().await, Keys::draw(harness).random());
        let first = acquire(&engine::fresh(harness, hasty(harness)).await, &key).await;
        let engine = engine::over(store.clone(), patient(harness));
        let second = taken_over(harness, &engine, &key).await;
        let record = record_at(&*store, &key).await;
        let rest = Rest {
            second,
            engine,
            store,
            key: key.clone(),
            record,
        };
        Self { first, rest, key }
    }
}

impl Rest {
    async fn expect_unchanged(&self) {
        let found = record_at(&*self.store, &self.key).await;
        assert_eq!(
            found, self.record,
            "G3: a superseded execution changes nothing"
        );
    }

    /// The successor is not harmed: it completes, and its answer is what everybody gets.
    async fn finish(self) {
        let completed = self.second.complete("the successor's").await;
        expect_stored(completed);
        expect_replay(&self.engine, &self.key, b"the successor's").await;
    }
}

#[track_caller]
fn expect_step_superseded(held: &Result<(), HoldError>) {
    assert!(
        matches!(held, Err(HoldError::Superseded(_))),
        "G3: the execution is superseded, but it is told {held:?}"
    );
}
