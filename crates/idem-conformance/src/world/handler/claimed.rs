//! A request that arrives at `claim`: claim, run, end.

use idem_core::{
    Claim, Execution, Refused,
    spi::{Ran, Stopped},
};

use super::{Answer, Claiming, Handling};
use crate::{
    history::KeyReply,
    world::{Ending, scene::fingerprint},
};

pub(super) async fn handle(handling: &Handling) -> Answer {
    let key = &handling.key().record;
    let mut claiming = Claiming::new(handling);
    let claim = handling
        .engine()
        .claim(key, &fingerprint(handling.plan.request))
        .await;
    let (reply, answer) = match claim {
        Ok(Claim::Acquired(execution)) => {
            let attempt = execution.attempt();
            claiming.replied(KeyReply::Acquired { attempt });
            drop(claiming);
            return run(handling, execution).await;
        }
        Ok(Claim::Replay(payload)) => (KeyReply::Replay(payload.clone()), Answer::Stored(payload)),
        Ok(Claim::ReplayFailure(payload)) => (
            KeyReply::ReplayFailure(payload.clone()),
            Answer::Stored(payload),
        ),
        Ok(Claim::Refused(Refused::InFlight { .. })) => {
            (KeyReply::InFlight, Answer::NotNow("in flight"))
        }
        Ok(Claim::Refused(Refused::Mismatch)) => (KeyReply::Mismatch, Answer::Never("mismatch")),
        Ok(Claim::Refused(Refused::Abandoned { attempt })) => {
            (KeyReply::Abandoned { attempt }, Answer::NotNow("abandoned"))
        }
        Ok(Claim::Refused(Refused::Exhausted { .. })) => {
            unreachable!("a plan sets no limit to attempts")
        }
        Err(error) => {
            handling.note(|| format!("claim: {error}"));
            return Answer::NotNow("the store is out of reach");
        }
    };
    claiming.replied(reply);
    answer
}

async fn run(handling: &Handling, execution: Execution) -> Answer {
    let running = execution.context();
    let work = async {
        let ending = handling.work(&running).await;
        if ending == Ending::Panic {
            // Not `panic!`, which would print a message for each of many runs.
            std::panic::resume_unwind(Box::new(handling.execution.to_string()));
        }
        ending
    };
    let ending = match execution.run(work).await {
        Ran::Finished(ending) => ending,
        Ran::Stopped(Stopped::Panicked(_)) => Ending::Panic,
        Ran::Stopped(Stopped::Superseded) => {
            handling.note(|| "is stopped: superseded".to_owned());
            return Answer::NotNow("superseded");
        }
    };
    let Some(call) = handling.end_call(ending) else {
        handling.note(|| "vanishes".to_owned());
        drop(execution);
        return Answer::NotNow("the worker has a bug");
    };
    let faults = handling.faults();
    let pending = handling.invoke(call);
    let (told, answer) = match ending {
        Ending::Complete | Ending::Vanish => {
            let payload = handling.success();
            (execution.complete(payload.clone()).await, Some(payload))
        }
        Ending::Fail => {
            let payload = super::json("error", handling.execution);
            (execution.fail(payload.clone()).await, Some(payload))
        }
        Ending::Panic => {
            let payload = super::json("panic", handling.execution);
            (execution.fail(payload.clone()).await, Some(payload))
        }
        Ending::Retry => (execution.fail_retryable().await, None),
        Ending::Release => (execution.release().await, None),
    };
    if ending == Ending::Release && faults != handling.faults() {
        // After a lost reply nothing is left that tells a release of one's own from a successor's.
        handling.note(|| format!("ends: {told:?}, or so it looks"));
        return Answer::NotNow("no effect");
    }
    handling.ended(pending, told, answer)
}
