//! Holding an execution by hand: steps, and one of all endings.

use std::time::Duration;

use idem_core::{
    Execution, Recording,
    error::{HoldError, Superseded},
    spi::Ran,
};
use rand::{RngExt, rngs::StdRng};

use super::{
    plan::{self, Course, End, Step},
    service::{AtWork, Service},
};
use crate::{
    event::{Action, Id, Told, digest},
    key::KeyId,
    recording::on_behalf_of,
};

/// Whether a holder may go on.
enum Standing {
    Good,
    Superseded,
    /// The ledger refuses this attempt.
    Fenced,
}

impl Service {
    /// Holds what was acquired, to its ending or until it is abandoned.
    pub(super) async fn hold(
        &self,
        key: KeyId,
        request: u8,
        (id, execution): (Id, Execution),
        rng: &mut StdRng,
    ) {
        let Course { steps, mut end } = plan::course(rng, key.class());
        let answer = plan::answer(rng, key, id);
        let at_work = AtWork::start(self, id, key, execution.attempt(), request);
        for step in steps {
            match self.step(&at_work, &execution, step, &answer, rng).await {
                Standing::Good => {}
                Standing::Fenced => {
                    end = Some(End::Retry);
                    break;
                }
                Standing::Superseded => {
                    // Some do not listen, and end it nevertheless.
                    end = end.filter(|_| rng.random_bool(0.5));
                    break;
                }
            }
        }
        match end {
            None => at_work.stop(None),
            Some(end) => self.end(at_work, execution, end, &answer, rng).await,
        }
    }

    async fn step(
        &self,
        at_work: &AtWork<'_>,
        execution: &Execution,
        step: Step,
        answer: &str,
        rng: &mut StdRng,
    ) -> Standing {
        match step {
            Step::Idle(time) => {
                tokio::time::sleep(time).await;
                Standing::Good
            }
            Step::Run(time) => {
                let run = execution.run(tokio::time::sleep(time));
                match on_behalf_of(at_work.execution, run).await {
                    Ran::Finished(()) => Standing::Good,
                    Ran::Stopped(_) => Standing::Superseded,
                }
            }
            Step::Effect => match at_work.effect(answer).await {
                true => Standing::Good,
                false => Standing::Fenced,
            },
            Step::Renew => {
                let what = Action::Renew {
                    execution: at_work.execution,
                };
                let renew = |_| execution.renew();
                self.step_asked(at_work.key, what, rng, renew).await
            }
            Step::Checkpoint => {
                let mark = format!("{:x} {:x}", at_work.execution, rng.random::<u64>());
                let what = Action::Checkpoint {
                    execution: at_work.execution,
                    mark: digest(mark.as_bytes()),
                };
                let checkpoint = |_| execution.checkpoint(mark);
                self.step_asked(at_work.key, what, rng, checkpoint).await
            }
        }
    }

    async fn step_asked<F: Future<Output = Result<(), HoldError>>>(
        &self,
        key: KeyId,
        what: Action,
        rng: &mut StdRng,
        step: impl FnOnce(Id) -> F,
    ) -> Standing {
        let told = |result: &Result<(), HoldError>| match result {
            Ok(()) => Told::Done,
            Err(HoldError::Store(error)) => Told::Failed(error.kind().into()),
            Err(_) => Told::Superseded,
        };
        let asked = self.ask(key, what, plan::patience(rng), step, told).await;
        match asked {
            Some((_, Err(HoldError::Superseded(Superseded)))) => Standing::Superseded,
            _ => Standing::Good,
        }
    }

    async fn end(
        &self,
        at_work: AtWork<'_>,
        execution: Execution,
        end: End,
        answer: &str,
        rng: &mut StdRng,
    ) {
        let (bytes, ending) = end.with(answer);
        let (id, key) = (at_work.execution, at_work.key);
        at_work.stop(Some(ending));
        let what = Action::End {
            execution: id,
            ending,
        };
        let patience: Option<Duration> = plan::patience(rng);
        let ask = |_| async {
            match end {
                End::Complete => execution.complete(bytes).await,
                End::Fail => execution.fail(bytes).await,
                End::Retry => execution.fail_retryable().await,
                End::Release => execution.release().await,
            }
        };
        self.ask(key, what, patience, ask, |result| match result {
            Ok(Recording::Stored) => Told::Stored,
            Ok(_) => Told::Pending,
            Err(Superseded) => Told::Superseded,
        })
        .await;
    }
}
