//! A request that arrives at `execute`.

use std::sync::{Mutex, PoisonError};

use idem_core::{
    Failure, Outcome, Refused,
    error::{ExecuteError, Superseded},
};

use super::{Answer, Claiming, Handling, json};
use crate::{
    history::{KeyCall, KeyReply, Pending},
    world::{Ending, plan, scene::fingerprint},
};

type Executed = Result<Outcome<Option<String>>, ExecuteError<String>>;

pub(super) async fn handle(handling: &Handling) -> Answer {
    let key = &handling.key().record;
    let claiming = Mutex::new(Claiming::new(handling));
    let ending = Mutex::new(None);
    let work = async |context: idem_core::Context| {
        let attempt = context.attempt();
        lock(&claiming).replied(KeyReply::Acquired { attempt });
        // Under `execute` nobody can release, and nobody can forget to end.
        let how = match handling.work(&context).await {
            Ending::Release => Ending::Retry,
            Ending::Vanish => Ending::Complete,
            how => how,
        };
        *lock(&ending) = handling.end_call(how).map(|call| handling.invoke(call));
        let answer = handling.execution.to_string();
        match how {
            Ending::Retry | Ending::Release => Err(Failure::Retryable(answer)),
            Ending::Fail => Err(Failure::Final(answer)),
            Ending::Complete | Ending::Vanish => Ok(handling.value()),
            Ending::Panic => std::panic::resume_unwind(Box::new(answer)),
        }
    };
    let engine = handling.engine();
    let executed = engine
        .execute(key, &fingerprint(handling.plan.request), work)
        .await;
    let ended = lock(&ending).take();
    match ended {
        Some(pending) => after_work(handling, pending, executed),
        None => without_work(handling, &mut lock(&claiming), executed),
    }
}

/// The work ran to its end.
fn after_work(
    handling: &Handling,
    pending: Pending<KeyCall, KeyReply>,
    executed: Executed,
) -> Answer {
    match executed {
        Ok(outcome) => handling.ended(pending, Ok(outcome.recording), Some(handling.success())),
        Err(ExecuteError::Superseded) => handling.ended(pending, Err(Superseded), None),
        // `execute` does not say whether a failure is stored already.
        Err(error) => {
            handling.note(|| format!("ends: {error}"));
            Answer::NotNow("a failure that may be pending")
        }
    }
}

/// The work did not run, or was stopped half-way.
fn without_work(handling: &Handling, claiming: &mut Claiming<'_>, executed: Executed) -> Answer {
    let (reply, answer) = match executed {
        Ok(outcome) => {
            let payload = plan::json(outcome.value.as_deref());
            (KeyReply::Replay(payload.clone()), Answer::Stored(payload))
        }
        Err(ExecuteError::Failed { error, .. }) => failure("error", &error),
        Err(ExecuteError::Panicked { message, .. }) => failure("panic", &message),
        Err(ExecuteError::Refused(Refused::InFlight { .. })) => {
            (KeyReply::InFlight, Answer::NotNow("in flight"))
        }
        Err(ExecuteError::Refused(Refused::Mismatch)) => {
            (KeyReply::Mismatch, Answer::Never("mismatch"))
        }
        Err(ExecuteError::Refused(Refused::Abandoned { attempt })) => {
            (KeyReply::Abandoned { attempt }, Answer::NotNow("abandoned"))
        }
        Err(error) => {
            handling.note(|| format!("does not run: {error}"));
            return Answer::NotNow("it did not run, or was stopped");
        }
    };
    claiming.replied(reply);
    answer
}

fn failure(kind: &str, said: &str) -> (KeyReply, Answer) {
    let execution = said
        .parse()
        .expect("work fails with its execution's number");
    let payload = json(kind, execution);
    (
        KeyReply::ReplayFailure(payload.clone()),
        Answer::Stored(payload),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
