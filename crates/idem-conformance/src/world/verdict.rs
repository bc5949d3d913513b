//! What was promised, checked after a run.

use std::time::Duration;

use idem_core::{Claim, Idempotency, Refused, Resolution};

use super::{
    Abandoned, Failure, expired,
    key::Key,
    scene::{RETENTION, Scene, Summary, fingerprint},
};
use crate::history::{Executions, KeyCall, KeyReply, Lapsed, Limit, Violation, check};

/// Timers count whole milliseconds.
const SLACK: Duration = Duration::from_millis(2);

/// Histories of a plan are short; a few in a million have too many orders.
const LIMIT: Limit = Limit {
    configurations: 200_000,
};

pub(super) async fn judge(scene: &Scene) -> Result<Summary, Failure> {
    let judged = every_key(scene).await;
    let books = scene.books();
    judged.map_err(|broken| Failure {
        plan: Box::new(scene.shared.plan.clone()),
        broken,
        timeline: books.timeline.lines(),
    })
}

async fn every_key(scene: &Scene) -> Result<Summary, String> {
    let mut summary = Summary::default();
    let engine = scene.faultless(!scene.shared.plan.seed);
    for number in 0..scene.shared.keys.len() {
        let last = Last {
            scene,
            engine: &engine,
            number,
        };
        let judged = match last.claim().await {
            Ok(ended) => every_promise(scene, number, ended, &mut summary),
            Err(stuck) => Err(stuck),
        };
        judged.map_err(|broken| format!("key {number}: {broken}"))?;
    }
    expired::as_new(scene).await?;
    let books = scene.books();
    summary.faults = books.faults.clone();
    summary.verdicts = books.verdicts.clone();
    Ok(summary)
}

fn every_promise(
    scene: &Scene,
    number: usize,
    ended: bool,
    summary: &mut Summary,
) -> Result<(), String> {
    let (calls, undecided) = explained(scene, number)?;
    let books = scene.books();
    let books = &books.keys[number];
    if let Some(pair) = books.answers.windows(2).find(|pair| pair[0] != pair[1]) {
        return Err(format!(
            "G2: two stored answers: {:?} and {:?}",
            pair[0], pair[1]
        ));
    }
    let effects = books.ledger.effects();
    match scene.shared.plan.abandoned {
        Abandoned::Reclaim if ended && effects == 0 => {
            return Err("G2: an answer is stored, and there was no effect".to_owned());
        }
        Abandoned::Reclaim => {}
        rule @ (Abandoned::Halt | Abandoned::Probe) => {
            let completions = usize::from(ended);
            if effects != completions {
                return Err(format!(
                    "G8: {effects} effects and {completions} winning completions under `{rule:?}`"
                ));
            }
        }
    }
    summary.calls += calls;
    summary.undecided |= undecided;
    summary.effects += effects;
    summary.answers += books.answers.len();
    Ok(())
}

/// Every answer that anybody got is explained by one linear history of the key. Gives the number
/// of calls, and whether there were too many orders to try.
fn explained(scene: &Scene, number: usize) -> Result<(usize, bool), String> {
    let plan = &scene.shared.plan;
    let model = Executions {
        lease: plan.lease.div_f64(plan.store_clock_rate),
        retention: RETENTION,
        lapsed: match plan.abandoned {
            Abandoned::Reclaim => Lapsed::TakenOver,
            Abandoned::Halt => Lapsed::Halted,
            Abandoned::Probe => Lapsed::Probed,
        },
        slack: SLACK,
    };
    let mut calls = scene.shared.keys[number].history.calls();
    calls.extend(scene.books().keys[number].unseen.iter().cloned());
    calls.sort_by_key(|call| call.invoked);
    match check(&model, &calls, LIMIT) {
        Ok(()) => Ok((calls.len(), false)),
        Err(Violation::TooLarge) => Ok((calls.len(), true)),
        Err(violation) => Err(format!("G1 to G5: {violation}")),
    }
}

/// One more claim of a key, without faults.
struct Last<'a> {
    scene: &'a Scene,
    engine: &'a Idempotency,
    number: usize,
}

impl Last<'_> {
    /// The key is not stuck. Says whether it has an ending.
    async fn claim(&self) -> Result<bool, String> {
        match self.ask(0).await? {
            // Under the other request, then.
            KeyReply::Mismatch => self.settle(1).await,
            reply => self.conclude(0, reply).await,
        }
    }

    async fn settle(&self, request: u8) -> Result<bool, String> {
        let reply = self.ask(request).await?;
        self.conclude(request, reply).await
    }

    async fn conclude(&self, request: u8, reply: KeyReply) -> Result<bool, String> {
        match reply {
            KeyReply::Acquired { .. } => Ok(false),
            KeyReply::Replay(_) | KeyReply::ReplayFailure(_) => Ok(true),
            KeyReply::Abandoned { attempt } if self.plan_halts() => {
                self.resolve(attempt).await?;
                match self.ask(request).await? {
                    KeyReply::Acquired { .. } => Ok(false),
                    KeyReply::Replay(_) => Ok(true),
                    other => Err(format!(
                        "G8: resolved, and the next claim is told {other:?}"
                    )),
                }
            }
            other => Err(format!("G1: all is over, and the key is stuck: {other:?}")),
        }
    }

    fn plan_halts(&self) -> bool {
        self.scene.shared.plan.abandoned == Abandoned::Halt
    }

    async fn ask(&self, request: u8) -> Result<KeyReply, String> {
        let call = KeyCall::Claim {
            execution: self.scene.next_execution(),
            request: request.into(),
        };
        let pending = self.key().history.invoke(usize::MAX, call);
        let claim = self
            .engine
            .claim(&self.key().record, &fingerprint(request))
            .await;
        self.note(|| format!("request {request}: {claim:?}"));
        let reply = match claim {
            Ok(Claim::Acquired(execution)) => KeyReply::Acquired {
                attempt: execution.attempt(),
            },
            Ok(Claim::Replay(payload)) => KeyReply::Replay(payload),
            Ok(Claim::ReplayFailure(payload)) => KeyReply::ReplayFailure(payload),
            Ok(Claim::Refused(Refused::Mismatch)) => KeyReply::Mismatch,
            Ok(Claim::Refused(Refused::InFlight { .. })) => KeyReply::InFlight,
            Ok(Claim::Refused(Refused::Abandoned { attempt })) => KeyReply::Abandoned { attempt },
            Ok(Claim::Refused(Refused::Exhausted { .. })) => {
                unreachable!("a plan sets no limit to attempts")
            }
            Err(error) => return Err(format!("G6: the store answers, and a claim fails: {error}")),
        };
        pending.replied(reply.clone());
        Ok(reply)
    }

    /// An operator looks into it, and says what happened.
    async fn resolve(&self, attempt: u32) -> Result<(), String> {
        let first = self.scene.books().keys[self.number].ledger.first();
        let answers = self.scene.shared.plan.answers;
        let answer = first.map(|execution| answers.payload(execution));
        self.note(|| format!("an operator finds {answer:?}"));
        let resolution = answer
            .clone()
            .map_or(Resolution::retry(), Resolution::completed_raw);
        let call = KeyCall::Resolve { attempt, answer };
        let pending = self.key().history.invoke(usize::MAX, call);
        let resolved = self.engine.resolve(&self.key().record, resolution).await;
        resolved.map_err(|error| format!("G8: a halted key cannot be resolved: {error}"))?;
        pending.replied(KeyReply::Stored);
        Ok(())
    }

    fn key(&self) -> &Key {
        &self.scene.shared.keys[self.number]
    }

    fn note(&self, what: impl FnOnce() -> String) {
        let number = self.number;
        self.scene
            .note("last claim", || format!("key {number}, {}", what()));
    }
}
