//! Claim, run and end in one call.

use std::time::Duration;

use idem_core::{Context, Failure, Outcome, Recording, Refused, error::ExecuteError};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    ON_PURPOSE,
    plan::{self, Course, End, Step},
    service::{AtWork, Service},
};
use crate::{
    event::{Action, Ending, Id, Told},
    key::{Class, KeyId},
};

type Executed = Result<Outcome<String>, ExecuteError<String>>;

impl Service {
    /// Executes; `Some` with the attempt of an execution that vanished before.
    pub(super) async fn execute(
        &self,
        key: KeyId,
        request: u8,
        waiting: bool,
        rng: &mut StdRng,
    ) -> Option<u32> {
        let (record_key, fingerprint) = (key.record_key(), crate::key::fingerprint(request));
        let engine = self.engine(key, waiting);
        // The work has its own dice, because it may be dropped half-way.
        let dice = StdRng::seed_from_u64(rng.random());
        let patience = plan::patience(rng);
        let execute = |id: Id| {
            let service = self.clone();
            let engine = &engine;
            let (record_key, fingerprint) = (&record_key, &fingerprint);
            async move {
                let work =
                    |context| async move { service.work(id, key, request, &context, dice).await };
                engine.execute(record_key, fingerprint, work).await
            }
        };
        let what = Action::Execute { request };
        let (_, executed) = self.ask(key, what, patience, execute, told).await?;
        match executed {
            Err(ExecuteError::Refused(Refused::Abandoned { attempt })) => Some(attempt),
            _ => None,
        }
    }

    async fn work(
        &self,
        id: Id,
        key: KeyId,
        request: u8,
        context: &Context,
        mut dice: StdRng,
    ) -> Result<String, Failure<String>> {
        let Course { steps, end } = plan::course(&mut dice, key.class());
        let answer = plan::answer(&mut dice, key, id);
        let at_work = AtWork::start(self, id, key, context.attempt(), request);
        let mut had_effect = false;
        for step in steps {
            match step {
                // The engine renews by itself all the time.
                Step::Idle(time) | Step::Run(time) => tokio::time::sleep(time).await,
                Step::Renew => tokio::time::sleep(Duration::from_millis(1)).await,
                Step::Checkpoint => {
                    let mark = format!("{id:x} {:x}", dice.random::<u64>());
                    // Superseded or not: the engine finds out as well.
                    let _ = context.checkpoint(mark).await;
                }
                Step::Effect if !at_work.effect(&answer).await => {
                    at_work.stop(Some(Ending::Retry));
                    return Err(Failure::Retryable(answer));
                }
                Step::Effect => had_effect = true,
            }
        }
        leave(at_work, end, had_effect, answer)
    }
}

/// How the work returns. One that was to be abandoned cannot be from within; it panics, where that
/// may be.
fn leave(
    at_work: AtWork<'_>,
    end: Option<End>,
    had_effect: bool,
    answer: String,
) -> Result<String, Failure<String>> {
    let end = match (end, at_work.key.class()) {
        (None, Class::Halt) if had_effect => End::Complete,
        (None, Class::Halt) => End::Retry,
        (None, _) => {
            let message = format!("{ON_PURPOSE} {answer}");
            at_work.stop(Some(Ending::Fail(plan::panicked(&message).1)));
            panic!("{message}");
        }
        // There is no release here.
        (Some(End::Release), _) => End::Retry,
        (Some(end), _) => end,
    };
    at_work.stop(Some(end.with(&answer).1));
    match end {
        End::Complete => Ok(answer),
        End::Fail => Err(Failure::Final(answer)),
        End::Retry | End::Release => Err(Failure::Retryable(answer)),
    }
}

fn told(executed: &Executed) -> Told {
    match executed {
        Ok(outcome) if outcome.replayed => Told::Replay(plan::completed(&outcome.value).1),
        Ok(outcome) => match outcome.recording {
            Recording::Stored => Told::Stored,
            _ => Told::Pending,
        },
        Err(error) => told_error(error),
    }
}

fn told_error(error: &ExecuteError<String>) -> Told {
    match error {
        ExecuteError::Failed {
            error,
            replayed: true,
        } => Told::ReplayFailure(plan::failed(error).1),
        ExecuteError::Panicked {
            message,
            replayed: true,
        } => Told::ReplayFailure(plan::panicked(message).1),
        // Whether its ending is stored the caller is not told.
        ExecuteError::Failed { .. }
        | ExecuteError::Panicked { .. }
        | ExecuteError::Retryable(_) => Told::Pending,
        ExecuteError::Refused(Refused::Mismatch) => Told::Mismatch,
        ExecuteError::Refused(Refused::InFlight { .. }) => Told::InFlight,
        ExecuteError::Refused(Refused::Abandoned { attempt }) => {
            Told::Abandoned { attempt: *attempt }
        }
        ExecuteError::Refused(Refused::Exhausted { .. }) => Told::Exhausted,
        ExecuteError::Superseded => Told::Superseded,
        ExecuteError::Claim(error) => Told::Failed(error.source.kind().into()),
        ExecuteError::Lost => Told::Gone,
        // An answer of the plans is storable and readable.
        _ => Told::Nonsense,
    }
}
