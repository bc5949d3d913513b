//! What a holder shares between its work, its renewals and its ending.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::lock::{Mutex as TurnMutex, MutexGuard};
use tokio::sync::{Notify, futures::Notified};

use crate::{
    Fingerprint, Idempotency, RecordKey, Recording,
    engine::{Budget, MAX_ROUNDS, endless, in_place},
    error::{HoldError, Superseded},
    machine::{Held as Reached, Holding, Landed, Want},
    observe::{self, Shape},
    store::{StoreError, StoreErrorKind},
};

/// A claim that was won, for as long as anybody cares.
pub(crate) struct Held {
    pub(crate) key: RecordKey,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) attempt: u32,
    pub(crate) resumed: Option<Bytes>,
    pub(crate) engine: Idempotency,
    lease: Duration,
    /// A claim that may never have gone through, and is given back: nobody runs under it.
    pub(crate) unseen: bool,
    /// The ending that the caller asked for, until whoever has the turn takes it.
    asked: Mutex<Option<Want>>,
    /// The name of the ending that was asked for.
    ending: OnceLock<&'static str>,
    over: AtomicBool,
    /// It is over, or an attempt at its pending ending failed.
    changed: Notify,
    /// Somebody waits for `changed`; most executions are over before anybody does.
    watched: AtomicBool,
    /// Operations go out one at a time: whoever has this lock has the turn.
    holding: TurnMutex<Holding>,
}

impl Held {
    pub(crate) fn new(engine: Idempotency, key: RecordKey, holding: Holding) -> Self {
        let record = holding.record();
        Self {
            fingerprint: record.fingerprint,
            attempt: record.attempt,
            resumed: holding.checkpoint().cloned(),
            key,
            engine,
            lease: holding.lease(),
            unseen: holding.ending().is_some(),
            asked: Mutex::default(),
            ending: holding.ending().map(OnceLock::from).unwrap_or_default(),
            over: AtomicBool::new(false),
            changed: Notify::new(),
            watched: AtomicBool::new(false),
            holding: TurnMutex::new(holding),
        }
    }

    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Resolves when it is over, and after each attempt at its pending ending that failed.
    /// Enable it, then look whether it is over already.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.watched.store(true, Ordering::SeqCst);
        self.changed.notified()
    }

    /// An attempt at its pending ending was made.
    pub(crate) fn tried(&self) {
        self.changed.notify_waiters();
    }

    pub(crate) fn jittered(&self, pause: Duration) -> Duration {
        self.engine.shared().entropy.jittered(pause)
    }

    /// The ending that was asked for, which may not have landed yet.
    pub(crate) fn ending(&self) -> Option<&'static str> {
        self.ending.get().copied()
    }

    /// Waits for the turn.
    pub(super) async fn turn(&self) -> MutexGuard<'_, Holding> {
        let mut holding = self.holding.lock().await;
        let asked = self
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(want) = asked {
            // An execution that is over says so itself.
            let _ = holding.want(want);
        }
        holding
    }

    /// Renews or checkpoints, asking again within the retry budget.
    pub(crate) async fn step(&self, want: Want) -> Result<(), HoldError> {
        let mut budget = Budget::new(self.engine.policy().retry_budget);
        loop {
            match self.step_once(want.clone()).await {
                Err(HoldError::Store(error)) => budget
                    .retry(&self.engine, &self.key, error)
                    .await
                    .map_err(HoldError::Store)?,
                stepped => return stepped,
            }
        }
    }

    /// Renews or checkpoints, asking once. The turn ends with it: where a checkpoint is not taken,
    /// the key is renewed before it is asked for again.
    async fn step_once(&self, want: Want) -> Result<(), HoldError> {
        let mut holding = self.turn().await;
        holding.want(want)?;
        match self.drive(&mut holding).await {
            Ok(Reached::Kept) => Ok(()),
            Ok(_) => Err(HoldError::Superseded(Superseded)),
            Err(error) => Err(HoldError::Store(error)),
        }
    }

    /// Renews, asking once.
    pub(crate) async fn renew_once(&self) -> Result<(), HoldError> {
        let renewed = self.step_once(Want::Renew).await;
        let result = match &renewed {
            Ok(()) => "done",
            Err(HoldError::Superseded(_)) => "superseded",
            Err(HoldError::Store(_)) => "error",
        };
        observe::renewed(&self.key, result);
        renewed
    }

    /// States how the execution is to end. Whoever has the turn next takes it.
    pub(super) fn ask(&self, want: Want) {
        let _ = self.ending.set(want.name());
        if let Some(bytes) = want.answer_bytes() {
            self.engine.measures().record(Shape::Payload, bytes as f64);
        }
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(want);
    }

    /// Ends the execution as it was [asked](Self::ask): at once if the store takes it, else in the
    /// background.
    pub(super) async fn end(&self) -> Result<Recording, Superseded> {
        let timer = self.engine.measures().start(Shape::Ending);
        let ended = in_place!(self.end_or_leave());
        timer.stop();
        ended
    }

    async fn end_or_leave(&self) -> Result<Recording, Superseded> {
        let mut ended = in_place!(self.try_end());
        if matches!(&ended, Err(error) if error.kind() == StoreErrorKind::Unknown) {
            ended = Box::pin(self.end_again()).await;
        }
        match ended {
            Ok(Ok(Landed::Fallback)) => Ok(Recording::Fallback),
            Ok(over) => over.map(|_| Recording::Stored),
            Err(error) => {
                let ending = self.ending().unwrap_or_default();
                observe::ending_not_stored(&self.key, ending, &error);
                Ok(Recording::Pending)
            }
        }
    }

    /// Once more after a lost reply. A renewal goes first: the attempt may have taken a third of the
    /// lease. It also finds out whether the ending has landed.
    async fn end_again(&self) -> Result<Result<Landed, Superseded>, StoreError> {
        match self.renew_once().await {
            Err(HoldError::Store(error)) => Err(error),
            Ok(()) | Err(HoldError::Superseded(_)) => self.try_end().await,
        }
    }

    /// Tries once to end the execution.
    pub(crate) async fn try_end(&self) -> Result<Result<Landed, Superseded>, StoreError> {
        let mut holding = self.turn().await;
        loop {
            if let Some(over) = holding.over() {
                return Ok(over);
            }
            in_place!(self.drive(&mut holding))?;
        }
    }

    /// Performs operations until something is settled or a call fails.
    async fn drive(&self, holding: &mut Holding) -> Result<Reached, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let Some(op) = holding.next() else {
                break;
            };
            let (reply, error) = in_place!(self.engine.perform(&self.key, op));
            match holding.on_reply(reply) {
                Reached::Again => {}
                Reached::Later => return Err(error.unwrap_or_else(endless)),
                Reached::Kept => return Ok(Reached::Kept),
                reached @ (Reached::Ended(_) | Reached::Superseded) => {
                    self.finish(holding);
                    return Ok(reached);
                }
            }
        }
        Err(endless())
    }

    /// Takes note that the execution is over.
    fn finish(&self, holding: &Holding) {
        let Some(over) = holding.over() else {
            return;
        };
        if self.over.swap(true, Ordering::SeqCst) {
            return;
        }
        let name = over.map_or("superseded", Landed::name);
        observe::ended(&self.key, if self.unseen { "released" } else { name });
        if self.watched.load(Ordering::SeqCst) {
            self.changed.notify_waiters();
        }
        self.engine.shared().waiters.wake(&self.key);
    }

    /// Takes note that the holding was driven to its end elsewhere.
    pub(super) async fn ended(&self) {
        let holding = self.turn().await;
        self.finish(&holding);
    }
}
