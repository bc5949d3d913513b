//! What a process does with a request: claims, works, ends, and answers.

mod claimed;
mod executed;

use std::time::Duration;

use bytes::Bytes;
use idem_core::{
    Context, Idempotency, OnBusy, Recording,
    error::{HoldError, Superseded},
};
use tokio::{sync::oneshot, time::sleep};

use super::{
    Arrival, ClientPlan, Ending,
    key::{Key, KeyBooks},
    scene::{Books, Scene, Server},
};
use crate::history::{Call, KeyCall, KeyReply, Pending};

/// What a client is told.
pub(super) enum Answer {
    /// The stored answer, success or failure.
    Stored(Bytes),
    /// Nothing yet: ask again.
    NotNow(&'static str),
    /// Nothing, ever.
    Never(&'static str),
}

/// One request in one process.
struct Handling {
    scene: Scene,
    server: Server,
    client: usize,
    plan: ClientPlan,
    /// Names the execution that this may become.
    execution: u64,
}

pub(super) async fn handle(
    scene: Scene,
    server: Server,
    client: usize,
    reply: oneshot::Sender<Answer>,
) {
    let plan = scene.shared.plan.clients[client].clone();
    let handling = Handling {
        execution: scene.next_execution(),
        plan,
        scene,
        server,
        client,
    };
    let answer = match handling.plan.arrival {
        Arrival::Claim => claimed::handle(&handling).await,
        Arrival::Execute => executed::handle(&handling).await,
    };
    // The client may have gone.
    let _ = reply.send(answer);
}

impl Handling {
    fn engine(&self) -> Idempotency {
        let on_busy = self.plan.waits.map_or(OnBusy::Reject, OnBusy::Wait);
        let policy = self.scene.policy().on_busy(on_busy);
        let engine = self.server.engine.with_policy(policy);
        engine.expect("a plan's policy can work")
    }

    fn note(&self, what: impl FnOnce() -> String) {
        let (client, execution) = (self.client, self.execution);
        self.scene.note(&self.server.name, || {
            format!("for client {client}, execution {execution}: {}", what())
        });
    }

    fn invoke(&self, call: KeyCall) -> Pending<KeyCall, KeyReply> {
        self.key().history.invoke(self.client, call)
    }

    fn key(&self) -> &Key {
        &self.scene.shared.keys[self.scene.key_of(&self.plan)]
    }

    fn books<'a>(&self, books: &'a mut Books) -> &'a mut KeyBooks {
        &mut books.keys[self.scene.key_of(&self.plan)]
    }

    /// Work that has no effect is tried a few times; then it has one.
    fn ending(&self, attempt: u32) -> Ending {
        match self.plan.work.ending {
            Ending::Retry | Ending::Release if attempt > 2 || self.execution > 6 => {
                Ending::Complete
            }
            ending => ending,
        }
    }

    /// Runs until right before the ending.
    async fn work(&self, context: &Context) -> Ending {
        let ending = self.ending(context.attempt());
        let work = &self.plan.work;
        self.note(|| format!("runs, attempt {}", context.attempt()));
        if work.checkpoint {
            let pending = self.invoke(KeyCall::Hold {
                execution: self.execution,
            });
            let left = context.checkpoint("a checkpoint").await;
            self.note(|| format!("checkpoint: {left:?}"));
            match left {
                Ok(()) => pending.replied(KeyReply::Stored),
                Err(HoldError::Superseded(_)) => pending.replied(KeyReply::Superseded),
                Err(_) => drop(pending),
            }
        }
        pause(work.before).await;
        if !matches!(ending, Ending::Retry | Ending::Release) && !self.effect(context.attempt()) {
            // Whoever was told that it cannot happen any more must not be wrong.
            self.note(|| "is refused its effect".to_owned());
            return Ending::Retry;
        }
        pause(work.after).await;
        ending
    }

    fn effect(&self, attempt: u32) -> bool {
        let mut books = self.scene.books();
        let happens = self
            .books(&mut books)
            .ledger
            .happen(self.execution, attempt);
        drop(books);
        if happens {
            self.note(|| "HAS ITS EFFECT".to_owned());
        }
        happens
    }

    /// The call that ends the execution; none for one that vanishes.
    fn end_call(&self, ending: Ending) -> Option<KeyCall> {
        let execution = self.execution;
        Some(match ending {
            Ending::Complete => KeyCall::Complete {
                execution,
                payload: self.success(),
            },
            Ending::Fail => KeyCall::Fail {
                execution,
                payload: json("error", execution),
            },
            Ending::Panic => KeyCall::Fail {
                execution,
                payload: json("panic", execution),
            },
            Ending::Retry => KeyCall::FailRetryable { execution },
            Ending::Release => KeyCall::Release { execution },
            Ending::Vanish => return None,
        })
    }

    fn value(&self) -> Option<String> {
        self.scene.shared.plan.answers.value(self.execution)
    }

    /// [`value`](Self::value) as the engine writes it.
    fn success(&self) -> Bytes {
        self.scene.shared.plan.answers.payload(self.execution)
    }

    /// Notes how an ending went, and what the client is told.
    fn ended(
        &self,
        pending: Pending<KeyCall, KeyReply>,
        told: Result<Recording, Superseded>,
        answer: Option<Bytes>,
    ) -> Answer {
        self.note(|| format!("ends: {told:?}"));
        match (told, answer) {
            (Ok(Recording::Stored), answer) => {
                pending.replied(KeyReply::Stored);
                answer.map_or(Answer::NotNow("no effect"), Answer::Stored)
            }
            // The client is not told yet: the answer is not certain to be stored.
            (Ok(_), _) => Answer::NotNow("the ending is pending"),
            (Err(Superseded), _) => {
                pending.replied(KeyReply::Superseded);
                Answer::NotNow("superseded")
            }
        }
    }
}

/// A stored failure as the engine writes it.
fn json(kind: &str, execution: u64) -> Bytes {
    format!("{{\"{kind}\":\"{execution}\"}}").into()
}

/// Always an await, also for no time at all.
async fn pause(time: Duration) {
    sleep(time).await;
}

/// A claim on its way. What may have happened unseen is noted when it ends, however it ends.
struct Claiming<'a> {
    handling: &'a Handling,
    invoked: Duration,
    struck: u64,
    refused: bool,
    pending: Option<Pending<KeyCall, KeyReply>>,
}

impl<'a> Claiming<'a> {
    fn new(handling: &'a Handling) -> Self {
        let invoked = handling.scene.shared.began.elapsed();
        let pending = handling.invoke(handling.claim_call());
        Self {
            handling,
            invoked,
            struck: handling.struck(),
            refused: false,
            pending: Some(pending),
        }
    }

    fn replied(&mut self, reply: KeyReply) {
        self.handling.note(|| format!("claim: {reply:?}"));
        self.refused = reply == KeyReply::InFlight;
        if let Some(pending) = self.pending.take() {
            pending.replied(reply);
        }
    }
}

impl Drop for Claiming<'_> {
    /// A write of a claim that was lost, late or doubled may take effect although the claim itself
    /// was told something else. A claim without a reply is taken back in the background, and so is a
    /// take-over that may come through after the claim was refused.
    fn drop(&mut self) {
        let handling = self.handling;
        let lingers = handling.scene.shared.plan.odds.longest;
        let lingers_until = handling.scene.shared.began.elapsed() + lingers;
        let mut unseen = Vec::new();
        if self.struck != handling.struck() {
            unseen.push((handling.claim_call(), Some(lingers_until)));
        }
        let is_taken_back = match self.pending.take() {
            Some(pending) => {
                pending.lost(lingers);
                true
            }
            None => self.refused && !unseen.is_empty(),
        };
        if is_taken_back {
            let execution = handling.execution;
            unseen.push((KeyCall::Disown { execution }, None));
        }
        for (call, void_after) in unseen {
            let mut books = handling.scene.books();
            handling.books(&mut books).unseen.push(Call {
                client: handling.client,
                invoked: self.invoked,
                replied: None,
                void_after,
                call,
            });
        }
    }
}

impl Handling {
    fn claim_call(&self) -> KeyCall {
        KeyCall::Claim {
            execution: self.execution,
            request: self.plan.request.into(),
        }
    }

    /// How many faults so far can have left something behind that is applied later.
    fn struck(&self) -> u64 {
        let struck = self.server.network.struck();
        let lingering = [
            "lose-reply",
            "hang-after",
            "delay-reply",
            "late",
            "duplicate",
        ];
        lingering.iter().filter_map(|kind| struck.get(kind)).sum()
    }
}
