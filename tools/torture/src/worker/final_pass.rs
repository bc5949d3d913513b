//! After the faults: every key is brought to its end, and looked at once more.

use std::time::Duration;

use idem_core::{Claim, Refused};
use tokio::task::JoinSet;

use super::{
    plan::End,
    service::{AtWork, Service},
};
use crate::{
    event::{Action, Told},
    key::{Class, KeyId},
};

/// How many keys are settled at once.
const AT_ONCE: usize = 24;
/// Questions after which a key that has no end is left to the checks.
const PATIENCE: usize = 80;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn settle(service: &Service, eras: u32, keys: u16) {
    let all = (0..eras).flat_map(|era| (0..keys).map(move |index| KeyId { era, index }));
    let mut running = JoinSet::new();
    for key in all {
        if running.len() >= AT_ONCE {
            running.join_next().await;
        }
        let service = service.clone();
        running.spawn(async move {
            service.bring_to_its_end(key).await;
            service.look_up(key).await;
        });
    }
    while running.join_next().await.is_some() {}
}

impl Service {
    async fn bring_to_its_end(&self, key: KeyId) {
        let mut request = 0;
        for _ in 0..PATIENCE {
            match self.claim(key, request, false, None).await {
                Some((id, Ok(Claim::Acquired(execution)))) => {
                    let held = AtWork::start(self, id, key, execution.attempt(), request);
                    self.complete(held, execution).await;
                }
                Some((_, Ok(Claim::Replay(_) | Claim::ReplayFailure(_)))) => return,
                Some((_, Ok(Claim::Refused(Refused::Mismatch)))) => request = 1 - request,
                Some((_, Ok(Claim::Refused(Refused::Abandoned { attempt })))) => {
                    self.operate(key, attempt).await;
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn complete(&self, at_work: AtWork<'_>, execution: idem_core::Execution) {
        let key = at_work.key;
        let answer = format!("{key} {:x}", at_work.execution);
        let may = key.class() != Class::Halt || at_work.effect(&answer).await;
        let end = if may { End::Complete } else { End::Retry };
        let (bytes, ending) = end.with(&answer);
        let id = at_work.execution;
        at_work.stop(Some(ending));
        let what = Action::End {
            execution: id,
            ending,
        };
        let ask = |_| async {
            match end {
                End::Complete => execution.complete(bytes).await,
                _ => execution.fail_retryable().await,
            }
        };
        self.ask(key, what, None, ask, |result| match result {
            Ok(idem_core::Recording::Stored) => Told::Stored,
            Ok(_) => Told::Pending,
            Err(_) => Told::Superseded,
        })
        .await;
    }
}
