//! The clients of a worker: each draws what to do next, does it, and thinks for a moment.

use std::{sync::Arc, time::Duration};

use idem_core::{Claim, Refused, error::ClaimError};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use super::{
    control::Control,
    plan::{self, Errand},
    service::Service,
};
use crate::{
    event::{Action, Told, digest},
    key::KeyId,
};

/// Runs so many clients until the worker is told to stop.
pub(super) async fn serve(services: &[Service], clients: u16, seed: u64, control: &Arc<Control>) {
    let mut running = JoinSet::new();
    for client in 0..clients {
        let service = services[usize::from(client) % services.len()].clone();
        let rng = StdRng::seed_from_u64(seed.wrapping_add(u64::from(client) << 32));
        let control = Arc::clone(control);
        running.spawn(Client { service, rng }.live(control));
    }
    // A client that panicked wrote that down; the others go on.
    while running.join_next().await.is_some() {}
}

struct Client {
    service: Service,
    rng: StdRng,
}

impl Client {
    async fn live(mut self, control: Arc<Control>) {
        while !control.is_stopped() {
            let key = KeyId {
                era: self.service.era(),
                index: self.rng.random_range(0..self.service.keys),
            };
            let longest = self.go(key).await;
            tokio::time::sleep(plan::up_to(&mut self.rng, longest)).await;
        }
    }

    /// Does one errand, and says for how many milliseconds to think after it at most.
    async fn go(&mut self, key: KeyId) -> u64 {
        match plan::errand(&mut self.rng, key) {
            Errand::Lookup => self.service.look_up(key).await,
            Errand::Resolve => self.service.resolve_on_a_hunch(key, &mut self.rng).await,
            Errand::Execute { request, waiting } => {
                let service = self.service.clone();
                let execute = service.execute(key, request, waiting, &mut self.rng);
                if let Some(attempt) = execute.await {
                    service.operate(key, attempt).await;
                }
            }
            Errand::Claim { request, waiting } => return self.claim(key, request, waiting).await,
        }
        6
    }

    async fn claim(&mut self, key: KeyId, request: u8, waiting: bool) -> u64 {
        let service = self.service.clone();
        let patience = plan::patience(&mut self.rng);
        match service.claim(key, request, waiting, patience).await {
            Some((id, Ok(Claim::Acquired(execution)))) => {
                let held = (id, execution);
                service.hold(key, request, held, &mut self.rng).await;
                2
            }
            Some((_, Ok(Claim::Refused(Refused::Abandoned { attempt })))) => {
                service.operate(key, attempt).await;
                2
            }
            Some((_, Ok(Claim::Refused(Refused::InFlight { .. })))) => 16,
            Some((_, Err(_))) => 50,
            _ => 8,
        }
    }
}

impl Service {
    /// Claims; nothing when the client went away before the answer was there.
    pub(super) async fn claim(
        &self,
        key: KeyId,
        request: u8,
        waiting: bool,
        patience: Option<Duration>,
    ) -> Option<(crate::event::Id, Result<Claim, ClaimError>)> {
        let engine = self.engine(key, waiting);
        let (record_key, fingerprint) = (key.record_key(), crate::key::fingerprint(request));
        let ask = |_| engine.claim(&record_key, &fingerprint);
        let what = Action::Claim { request };
        self.ask(key, what, patience, ask, told).await
    }
}

fn told(claimed: &Result<Claim, ClaimError>) -> Told {
    match claimed {
        Ok(Claim::Acquired(execution)) => Told::Acquired {
            attempt: execution.attempt(),
            resumed: execution.previous_checkpoint().map(|mark| digest(mark)),
        },
        Ok(Claim::Replay(payload)) => Told::Replay(digest(payload)),
        Ok(Claim::ReplayFailure(payload)) => Told::ReplayFailure(digest(payload)),
        Ok(Claim::Refused(Refused::InFlight { .. })) => Told::InFlight,
        Ok(Claim::Refused(Refused::Mismatch)) => Told::Mismatch,
        Ok(Claim::Refused(Refused::Abandoned { attempt })) => Told::Abandoned { attempt: *attempt },
        Ok(Claim::Refused(Refused::Exhausted { .. })) => Told::Exhausted,
        Err(error) => Told::Failed(error.source.kind().into()),
    }
}
