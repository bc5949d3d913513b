//! The adapters: NATS and RabbitMQ on real servers, Kafka and SQS on emulators.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod kafka;
mod kills;
#[path = "../support/misconfigured.rs"]
mod misconfigured;
mod nats;
mod rabbitmq;
mod sqs;

use std::{
    collections::BTreeMap,
    future::Future,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use idem_consumer::{Backoff, Builder, Consumer, KeyFrom, Verdict};
use idem_core::{Idempotency, Policy, Scope};
use idem_memory::MemoryStore;
use misconfigured::Misconfigured;
use tokio::sync::Notify;

/// Longer than any of these tests takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(30);

const KEY: &str = "Idempotency-Key";

/// Delays short enough for a test.
fn consumer(idem: &Idempotency, seen: &Seen) -> Consumer {
    let scope = Scope::new("orders").unwrap();
    let builder = Consumer::builder(idem.clone(), scope, KeyFrom::header(KEY));
    watched(builder, seen)
}

fn watched(builder: Builder, seen: &Seen) -> Consumer {
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    let seen = seen.clone();
    let watched = builder.watch(move |_, verdict| seen.note(verdict));
    watched.backoff(backoff).build().unwrap()
}

fn engine() -> Idempotency {
    let policy = Policy::default()
        .lease(Duration::from_secs(2))
        .max_attempts(NonZeroU32::new(3).unwrap());
    let built = Idempotency::builder(MemoryStore::new()).policy(policy);
    built.build().unwrap()
}

/// The verdicts so far.
#[derive(Clone, Default)]
struct Seen(Arc<(Mutex<BTreeMap<&'static str, usize>>, Notify)>);

impl Seen {
    fn note(&self, verdict: &Verdict) {
        *self.counts().entry(verdict.name()).or_default() += 1;
        self.0.1.notify_waiters();
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.0.lock().unwrap()
    }

    fn of(&self, name: &str) -> usize {
        self.counts().get(name).copied().unwrap_or(0)
    }

    /// Resolves once there were so many verdicts of this name.
    async fn at_least(&self, name: &'static str, count: usize) {
        loop {
            let changed = self.0.1.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.of(name) >= count {
                return;
            }
            changed.await;
        }
    }
}

async fn in_time<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}
