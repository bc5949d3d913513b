//! A prober that tells the truth, or that it cannot tell.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{Abandonment, ProbeResult, Prober};
use tokio::time::sleep;

use super::scene::{Scene, World};
use crate::history::{Call, KeyCall};

/// How long it takes to look.
const LOOKS: Duration = Duration::from_millis(20);

/// Looks into the ledger.
pub(super) struct Truthful {
    /// Weak, because the world holds the engines, whose policies hold this.
    world: Weak<World>,
}

impl Truthful {
    pub(super) fn of(scene: &Scene) -> Arc<Self> {
        let world = Arc::downgrade(&scene.shared);
        Arc::new(Self { world })
    }
}

#[async_trait]
impl Prober for Truthful {
    async fn probe(&self, abandoned: &Abandonment) -> ProbeResult {
        sleep(LOOKS).await;
        let Some(shared) = self.world.upgrade() else {
            return ProbeResult::unknown();
        };
        let scene = Scene { shared };
        let found = find(&scene, abandoned);
        scene.note("prober", || {
            let (key, attempt) = (&abandoned.key, abandoned.attempt);
            format!("for attempt {attempt} at {key:?}: {found:?}")
        });
        scene.books().probed(&found);
        // As long again until the engine hears of it.
        sleep(LOOKS).await;
        found
    }
}

fn find(scene: &Scene, abandoned: &Abandonment) -> ProbeResult {
    let number = scene
        .shared
        .keys
        .iter()
        .position(|key| key.record == abandoned.key);
    let number = number.expect("a prober is asked about keys of the world");
    if scene.doubts() {
        return ProbeResult::unknown();
    }
    let attempt = abandoned.attempt;
    let latest = scene.latest_execution();
    let mut books = scene.books();
    let books = &mut books.keys[number];
    let Some(execution) = books.ledger.probe(attempt, latest) else {
        return ProbeResult::retry();
    };
    let answer = scene.shared.plan.answers.payload(execution);
    let call = KeyCall::Resolve {
        attempt,
        answer: Some(answer.clone()),
    };
    // Once is enough: the search takes it as happening at any time from now on.
    if books.unseen.iter().all(|seen| seen.call != call) {
        books.unseen.push(Call {
            client: usize::MAX,
            invoked: scene.shared.began.elapsed(),
            replied: None,
            void_after: None,
            call,
        });
    }
    ProbeResult::completed_raw(answer)
}
