//! [`Service`]: an engine, and asking it something with both sides written down.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use idem_core::Idempotency;

use super::{Assignment, control::Control, ledger::Ledger, target::Opened};
use crate::{
    event::{Action, Event, Id, Told, Work},
    journal::Journal,
    key::KeyId,
    recording::{Recording, on_behalf_of},
};

/// How long a worker that was told to stop waits for endings that are not stored yet.
const DRAIN: Duration = Duration::from_secs(8);

/// What the clients of a worker share.
#[derive(Clone)]
pub(super) struct Service {
    engine: Idempotency,
    journal: Arc<Journal>,
    control: Arc<Control>,
    pub(super) ledger: Ledger,
    pub(super) keys: u16,
}

impl Service {
    pub(super) fn new(
        opened: &Opened,
        journal: &Arc<Journal>,
        control: &Arc<Control>,
        assignment: &Assignment,
    ) -> Result<Self> {
        let store = Recording::new(Arc::clone(&opened.store), Arc::clone(journal));
        let mut builder = Idempotency::builder(store);
        if let Some(watch) = &opened.watch {
            builder = builder.watch(Arc::clone(watch));
        }
        Ok(Self {
            engine: builder.build()?,
            journal: Arc::clone(journal),
            control: Arc::clone(control),
            ledger: Ledger::of_run(&assignment.folder),
            keys: assignment.keys,
        })
    }

    pub(super) fn era(&self) -> u32 {
        self.control.era()
    }

    /// The engine for a key; `waiting` for callers who wait while it is in flight.
    pub(super) fn engine(&self, key: KeyId, waiting: bool) -> Idempotency {
        let policy = if waiting {
            key.waiting_policy()
        } else {
            key.policy()
        };
        let engine = self.engine.with_policy(policy);
        engine.expect("every class has a policy that works, as a test shows")
    }

    /// Asks something: writes it down, lets `question` run with the number it was given, and writes
    /// down what `tell` makes of the answer. With a `patience` the client goes away after it, and
    /// then there is no answer.
    pub(super) async fn ask<T, F: Future<Output = T>>(
        &self,
        key: KeyId,
        what: Action,
        patience: Option<Duration>,
        question: impl FnOnce(Id) -> F,
        tell: impl FnOnce(&T) -> Told,
    ) -> Option<(Id, T)> {
        let id = self.journal.id();
        self.control.count(key);
        self.journal.write(Event::Ask { id, key, what });
        let question = on_behalf_of(id, question(id));
        let answer = match patience {
            None => Some(question.await),
            Some(patience) => tokio::time::timeout(patience, question).await.ok(),
        };
        let told = answer.as_ref().map_or(Told::Gone, tell);
        self.journal.write(Event::Told { id, answer: told });
        answer.map(|answer| (id, answer))
    }

    /// Writes down what happens to an execution.
    pub(super) fn note(&self, execution: Id, key: KeyId, what: Work) {
        self.journal.write(Event::Work {
            execution,
            key,
            what,
        });
    }

    /// Waits for what is still to be stored, for as long as that is to be expected.
    pub(super) async fn drain(&self) {
        // What is left after that is as if the process had been killed.
        let _ = tokio::time::timeout(DRAIN, self.engine.wait_idle()).await;
    }
}

/// An execution at work. Dropped while it is, it has stopped without an ending.
pub(super) struct AtWork<'a> {
    service: &'a Service,
    pub(super) execution: Id,
    pub(super) key: KeyId,
    pub(super) attempt: u32,
    stopped: bool,
}

impl<'a> AtWork<'a> {
    pub(super) fn start(
        service: &'a Service,
        execution: Id,
        key: KeyId,
        attempt: u32,
        request: u8,
    ) -> Self {
        service.note(execution, key, Work::Start { attempt, request });
        Self {
            service,
            execution,
            key,
            attempt,
            stopped: false,
        }
    }

    /// Has the effect of this execution in the ledger; `false` when it is fenced.
    pub(super) async fn effect(&self, answer: &str) -> bool {
        let ledger = &self.service.ledger;
        let happened = ledger.effect(self.key, self.attempt, answer).await;
        let happened = happened.expect("the ledger is a file in the folder of the run");
        if happened {
            let payload = super::plan::completed(answer).1;
            let what = Work::Effect { payload };
            self.service.note(self.execution, self.key, what);
        }
        happened
    }

    /// Stops, to be ended so at once; without an ending it is abandoned.
    pub(super) fn stop(mut self, ending: Option<crate::event::Ending>) {
        self.stopped = true;
        self.service
            .note(self.execution, self.key, Work::Stop { ending });
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if !self.stopped {
            let what = Work::Stop { ending: None };
            self.service.note(self.execution, self.key, what);
        }
    }
}
