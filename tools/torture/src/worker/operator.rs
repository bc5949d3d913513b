//! Settling keys by hand.

use bytes::Bytes;
use idem_core::{Resolution, error::ResolveError, machine::NotResolvable};
use rand::{RngExt, rngs::StdRng};

use super::{ledger::Finding, plan, service::Service};
use crate::{
    event::{Action, Ending, Told},
    key::KeyId,
};

impl Service {
    /// What an operator does about an abandoned key: looks the effect up, and settles accordingly.
    pub(super) async fn operate(&self, key: KeyId, attempt: u32) {
        let finding = self.ledger.investigate(key, attempt).await;
        let finding = finding.expect("the ledger is a file in the folder of the run");
        let (resolution, ending) = match finding {
            Finding::Effect(answer) => {
                let (bytes, digest) = plan::completed(&answer);
                (Resolution::completed_raw(bytes), Ending::Complete(digest))
            }
            Finding::Fenced => (Resolution::retry(), Ending::Retry),
        };
        self.resolve(key, resolution, ending).await;
    }

    /// Settles a key without having looked: whoever holds it is trusted until its lease is over.
    pub(super) async fn resolve_on_a_hunch(&self, key: KeyId, rng: &mut StdRng) {
        let answer = format!("{key} by hand {:x}", rng.random::<u64>());
        let (resolution, ending) = match rng.random_range(0..3) {
            0 => with(
                Resolution::completed_raw,
                Ending::Complete,
                plan::completed(&answer),
            ),
            1 => with(Resolution::failed_raw, Ending::Fail, plan::failed(&answer)),
            _ => (Resolution::retry(), Ending::Retry),
        };
        self.resolve(key, resolution, ending).await;
    }

    async fn resolve(&self, key: KeyId, resolution: Resolution, ending: Ending) {
        let engine = self.engine(key, false);
        let what = Action::Resolve { resolution: ending };
        let record_key = key.record_key();
        let ask = |_| engine.resolve(&record_key, resolution);
        self.ask(key, what, None, ask, |result| match result {
            Ok(()) => Told::Done,
            Err(ResolveError::NotResolvable(
                NotResolvable::Absent | NotResolvable::Running { .. } | NotResolvable::Ended(_),
            )) => Told::Refused,
            Err(ResolveError::Store(error)) => Told::Failed(error.kind().into()),
            Err(_) => Told::Changed,
        })
        .await;
    }

    pub(super) async fn look_up(&self, key: KeyId) {
        let engine = self.engine(key, false);
        let record_key = key.record_key();
        let ask = |_| engine.lookup(&record_key);
        self.ask(key, Action::Lookup, None, ask, |result| match result {
            Ok(found) => Told::Found(found.as_ref().map(|found| (&found.record).into())),
            Err(error) => Told::Failed(error.kind().into()),
        })
        .await;
    }
}

fn with(
    resolution: fn(Bytes) -> Resolution,
    ending: fn(u64) -> Ending,
    (bytes, digest): (Bytes, u64),
) -> (Resolution, Ending) {
    (resolution(bytes), ending(digest))
}
