//! What was promised, checked after a run.

use std::time::Duration;

use idem_core::{Claim, Idempotency};

use super::{
    Abandoned, Failure,
    scene::{Scene, Summary, fingerprint},
};
use crate::history::{Executions, KeyCall, KeyReply, Limit, Violation, check};

/// Timers count whole milliseconds.
const SLACK: Duration = Duration::from_millis(2);

/// Histories of a plan are short; a few in a million have too many orders.
const LIMIT: Limit = Limit {
    configurations: 200_000,
};

pub(super) async fn judge(scene: &Scene) -> Result<Summary, Failure> {
    let judged = match last_claim(scene).await {
        Ok(ended) => every_promise(scene, ended),
        Err(stuck) => Err(stuck),
    };
    let books = scene.books();
    judged.map_err(|broken| Failure {
        plan: Box::new(scene.shared.plan.clone()),
        broken,
        timeline: books.timeline.lines(),
    })
}

fn every_promise(scene: &Scene, ended: bool) -> Result<Summary, String> {
    let (calls, undecided) = explained(scene)?;
    let books = scene.books();
    if let Some(pair) = books.answers.windows(2).find(|pair| pair[0] != pair[1]) {
        return Err(format!(
            "G2: two stored answers: {:?} and {:?}",
            pair[0], pair[1]
        ));
    }
    let effects = books.effects.len();
    if scene.shared.plan.abandoned == Abandoned::Halt && effects > 1 {
        return Err(format!(
            "G8: the effect happened {effects} times under `Halt`"
        ));
    }
    if ended && effects == 0 {
        return Err("G2: an answer is stored, and there was no effect".to_owned());
    }
    Ok(Summary {
        faults: books.faults.clone(),
        calls,
        undecided,
        effects,
        answers: books.answers.len(),
    })
}

/// Every answer that anybody got is explained by one linear history of the key. Gives the number
/// of calls, and whether there were too many orders to try.
fn explained(scene: &Scene) -> Result<(usize, bool), String> {
    let plan = &scene.shared.plan;
    let model = Executions {
        lease: plan.lease.div_f64(plan.store_clock_rate),
        retention: Duration::from_secs(3600),
        reclaims: plan.abandoned == Abandoned::Reclaim,
        slack: SLACK,
    };
    let mut calls = scene.shared.history.calls();
    calls.extend(scene.books().unseen.iter().cloned());
    calls.sort_by_key(|call| call.invoked);
    match check(&model, &calls, LIMIT) {
        Ok(()) => Ok((calls.len(), false)),
        Err(Violation::TooLarge) => Ok((calls.len(), true)),
        Err(violation) => Err(format!("G1 to G5: {violation}")),
    }
}

/// One more claim, without faults: the key is not stuck. Says whether it has an ending.
async fn last_claim(scene: &Scene) -> Result<bool, String> {
    let engine = Idempotency::builder(scene.shared.store.clone())
        .policy(scene.policy())
        .seed(!scene.shared.plan.seed)
        .build()
        .expect("a plan's policy can work");
    let execution = scene.next_execution();
    let call = KeyCall::Claim {
        execution,
        request: 0,
    };
    let pending = scene.shared.history.invoke(usize::MAX, call);
    let claim = engine.claim(&scene.shared.key, &fingerprint(0)).await;
    let told = format!("{claim:?}");
    scene.note("last claim", || told.clone());
    let (reply, ended) = match claim {
        Ok(Claim::Acquired(execution)) => {
            let attempt = execution.attempt();
            (KeyReply::Acquired { attempt }, false)
        }
        Ok(Claim::Replay(payload)) => (KeyReply::Replay(payload), true),
        Ok(Claim::ReplayFailure(payload)) => (KeyReply::ReplayFailure(payload), true),
        Ok(Claim::Mismatch) => (KeyReply::Mismatch, false),
        Ok(Claim::Abandoned { attempt }) if scene.shared.plan.abandoned == Abandoned::Halt => {
            (KeyReply::Abandoned { attempt }, false)
        }
        _ => return Err(format!("G1: all is over, and the key is stuck: {told}")),
    };
    pending.replied(reply);
    Ok(ended)
}
