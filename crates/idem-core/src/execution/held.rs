//! What a holder shares between its work, its renewals and its ending.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::lock::Mutex;

use super::end_guard::EndGuard;
use crate::{
    Deleted, Fingerprint, HoldError, Idempotency, RecordKey, Recording, StoreError, StoreErrorKind,
    Stored, Superseded, Updated,
    engine::{Budget, EndFailure, bounded, in_place},
    machine::{self, Ending, Holding, Settled, Step, Write},
    observe,
};

/// How an execution ends.
#[derive(Debug)]
pub(crate) enum End {
    Write(Ending),
    Release,
    /// A write that went out at least once, and is kept with the holding since.
    Kept(&'static str),
}

impl End {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Write(ending) => ending.name(),
            Self::Release => "released",
            Self::Kept(name) => name,
        }
    }
}

/// A claim that was won, for as long as anybody cares.
pub(crate) struct Held {
    pub(crate) key: RecordKey,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) attempt: u32,
    pub(crate) resumed: Option<Bytes>,
    pub(super) engine: Idempotency,
    lease: Duration,
    /// A claim that may never have gone through.
    unseen: bool,
    progress: Mutex<Progress>,
}

/// Writes go out one at a time, under a lock.
struct Progress {
    holding: Holding,
    /// The ending that was sent, to be sent again unchanged when its reply is lost.
    sent: Option<Write>,
    /// Whether a release may have been applied unnoticed.
    maybe_released: bool,
    ended: Option<Result<(), Superseded>>,
}

impl Held {
    pub(crate) fn new(engine: Idempotency, key: RecordKey, holding: Holding) -> Self {
        Self::with(engine, key, holding, false)
    }

    /// A claim that may have gone through without its caller learning of it, to be given back.
    pub(crate) fn unseen(engine: Idempotency, key: RecordKey, holding: Holding) -> Self {
        Self::with(engine, key, holding, true)
    }

    fn with(engine: Idempotency, key: RecordKey, holding: Holding, unseen: bool) -> Self {
        let record = holding.record();
        Self {
            fingerprint: record.fingerprint,
            attempt: record.attempt,
            resumed: holding.checkpoint().cloned(),
            key,
            engine,
            lease: holding.lease(),
            unseen,
            progress: Mutex::new(Progress {
                holding,
                sent: None,
                maybe_released: unseen,
                ended: None,
            }),
        }
    }

    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// Renews or checkpoints, asking again within the retry budget.
    pub(crate) async fn step(&self, step: Step) -> Result<(), HoldError> {
        let mut budget = Budget::new(self.engine.policy().retry_budget);
        self.step_within(step, Some(&mut budget)).await
    }

    /// Renews, asking once.
    pub(crate) async fn renew_once(&self) -> Result<(), HoldError> {
        let renewed = self.step_within(Step::Renew, None).await;
        let result = match &renewed {
            Ok(()) => "done",
            Err(HoldError::Superseded(_)) => "superseded",
            Err(HoldError::Store(_)) => "error",
        };
        observe::renewed(&self.key, result);
        renewed
    }

    async fn step_within(
        &self,
        step: Step,
        mut budget: Option<&mut Budget>,
    ) -> Result<(), HoldError> {
        let mut progress = self.progress.lock().await;
        if progress.ended.is_some() {
            return Err(HoldError::Superseded(Superseded));
        }
        let mut write = progress.holding.step(step);
        loop {
            match self.update(&write).await {
                Ok(Updated::Done) => break,
                Ok(Updated::Conflict(found)) => {
                    match progress.holding.settle(&write, found.as_ref()) {
                        Settled::Landed => break,
                        Settled::Again(again) => write = again,
                        Settled::Superseded => {
                            self.finish(&mut progress, "superseded", Err(Superseded));
                            return Err(HoldError::Superseded(Superseded));
                        }
                    }
                }
                Err(error) => match budget.as_deref_mut() {
                    Some(budget) => budget
                        .retry(&self.engine, &self.key, error)
                        .await
                        .map_err(HoldError::Store)?,
                    None => return Err(HoldError::Store(error)),
                },
            }
        }
        progress.holding.wrote(write);
        Ok(())
    }

    /// Ends the execution: at once if the store takes it, else in the background. Dropping the
    /// future hands the rest over to the background as well.
    pub(crate) async fn end(held: Arc<Self>, end: End) -> Result<Recording, Superseded> {
        let mut guard = EndGuard::new(held, end);
        let mut result = in_place!(guard.try_end());
        if matches!(&result, Err(EndFailure::Store(e)) if e.kind() == StoreErrorKind::Unknown) {
            result = in_place!(guard.try_end());
        }
        match result {
            Ok(()) => {
                guard.disarm();
                Ok(Recording::Stored)
            }
            Err(EndFailure::Superseded(superseded)) => {
                guard.disarm();
                Err(superseded)
            }
            Err(EndFailure::Store(error)) => {
                guard.hand_over(Some(&error));
                Ok(Recording::Pending)
            }
        }
    }

    /// Sends the ending once. Safe to call again, also from two tasks.
    pub(crate) async fn try_end(&self, end: &mut End) -> Result<(), EndFailure> {
        let mut progress = self.progress.lock().await;
        if let Some(result) = progress.ended {
            return result.map_err(EndFailure::Superseded);
        }
        let name = end.name();
        let result = if let End::Release = end {
            // Boxed, so that the usual ending does not carry the room for it.
            Box::pin(self.try_release(&mut progress)).await
        } else {
            // Kept before it goes out: this future may be dropped while it is under way.
            if let End::Write(ending) = std::mem::replace(end, End::Kept(name)) {
                progress.sent = Some(progress.holding.end(ending));
            }
            self.try_write(&mut progress).await
        };
        match result {
            Ok(()) => self.finish(&mut progress, name, Ok(())),
            Err(EndFailure::Superseded(_)) => {
                self.finish(&mut progress, "superseded", Err(Superseded));
            }
            Err(EndFailure::Store(_)) => {}
        }
        result
    }

    async fn try_write(&self, progress: &mut Progress) -> Result<(), EndFailure> {
        let Progress { holding, sent, .. } = progress;
        let write = sent.as_mut().expect("an ending is kept until it is over");
        loop {
            match self.update(write).await.map_err(EndFailure::Store)? {
                Updated::Done => return Ok(()),
                Updated::Conflict(found) => match holding.settle(write, found.as_ref()) {
                    Settled::Landed => return Ok(()),
                    Settled::Again(again) => *write = again,
                    Settled::Superseded => return Err(EndFailure::Superseded(Superseded)),
                },
            }
        }
    }

    async fn try_release(&self, progress: &mut Progress) -> Result<(), EndFailure> {
        loop {
            let version = progress.holding.record().version;
            let maybe_released = std::mem::replace(&mut progress.maybe_released, true);
            let call = self.engine.shared().store.delete(&self.key, version);
            match bounded(self.engine.policy().call_timeout, call).await {
                Ok(Deleted::Done) => return Ok(()),
                Ok(Deleted::Conflict(found)) if progress.holding.still_owns(found.as_ref()) => {
                    progress.maybe_released = maybe_released;
                }
                Ok(Deleted::Conflict(found)) => {
                    // After a lost reply: a record that is gone, or was made anew since, is what
                    // a release leaves. A take-over would have counted the attempt up.
                    let gone = found.is_none_or(|found| found.record.attempt <= self.attempt);
                    return match maybe_released && gone {
                        true => Ok(()),
                        false => Err(EndFailure::Superseded(Superseded)),
                    };
                }
                Err(error) => {
                    let applied = maybe_released || error.kind() == StoreErrorKind::Unknown;
                    progress.maybe_released = applied;
                    return Err(EndFailure::Store(error));
                }
            }
        }
    }

    fn update<'a>(
        &'a self,
        write: &'a Write,
    ) -> impl Future<Output = Result<Updated, StoreError>> + Send + Unpin + 'a {
        let policy = self.engine.policy();
        let ttl = machine::ttl(&write.record.state, policy.retention);
        let store = &self.engine.shared().store;
        let call = store.update(&self.key, write.expected, &write.record, ttl);
        bounded(policy.call_timeout, call)
    }

    fn finish(&self, progress: &mut Progress, name: &'static str, ended: Result<(), Superseded>) {
        progress.ended = Some(ended);
        progress.sent = None;
        observe::ended(&self.key, if self.unseen { "released" } else { name });
        self.engine.shared().waiters.wake(&self.key);
    }

    pub(crate) async fn prepare(&self, ending: Ending) -> Write {
        self.progress.lock().await.holding.end(ending)
    }

    pub(crate) async fn settle(&self, write: &Write, found: Option<&Stored>) -> Settled {
        self.progress.lock().await.holding.settle(write, found)
    }

    pub(crate) async fn ended(&self, result: Result<Write, Superseded>) {
        let mut progress = self.progress.lock().await;
        match result {
            Ok(write) => {
                let name = write.record.state.name();
                progress.holding.wrote(write);
                self.finish(&mut progress, name, Ok(()));
            }
            // A renewal or a checkpoint may have found out, and said so.
            Err(_) if progress.ended.is_some() => {}
            Err(superseded) => self.finish(&mut progress, "superseded", Err(superseded)),
        }
    }
}
