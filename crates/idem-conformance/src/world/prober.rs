//! A prober that tells the truth, or that it cannot tell.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{Abandonment, Prober, Verdict};
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
    async fn probe(&self, abandoned: &Abandonment) -> Verdict {
        sleep(LOOKS).await;
        let Some(shared) = self.world.upgrade() else {
            return Verdict::Unknown;
        };
        let scene = Scene { shared };
        let verdict = verdict(&scene, abandoned);
        scene.note("prober", || {
            let (key, attempt) = (&abandoned.key, abandoned.attempt);
            format!("for attempt {attempt} at {key:?}: {verdict:?}")
        });
        scene.books().probed(&verdict);
        // As long again until the engine hears of it.
        sleep(LOOKS).await;
        verdict
    }
}

fn verdict(scene: &Scene, abandoned: &Abandonment) -> Verdict {
    let number = scene
        .shared
        .keys
        .iter()
        .position(|key| key.record == abandoned.key);
    let number = number.expect("a prober is asked about keys of the world");
    if scene.doubts() {
        return Verdict::Unknown;
    }
    let attempt = abandoned.attempt;
    let latest = scene.latest_execution();
    let mut books = scene.books();
    let books = &mut books.keys[number];
    let Some(execution) = books.ledger.probe(attempt, latest) else {
        return Verdict::NotCommitted;
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
    Verdict::Committed(answer)
}
