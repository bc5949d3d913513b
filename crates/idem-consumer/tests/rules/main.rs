//! The rules of a consumer, on a queue in this process and in paused time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
#[path = "../support/misconfigured.rs"]
mod misconfigured;
mod queue;
mod running;
mod verdicts;

use std::{num::NonZeroU32, time::Duration};

use idem_conformance::FaultStore;
use idem_consumer::{Builder, Consumer, KeyFrom, Message};
use idem_core::{Context, Failure, Idempotency, Policy, Scope};
use idem_memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

/// A store whose calls can be made to fail, and an engine over it.
fn world(policy: Policy) -> (FaultStore<MemoryStore>, Idempotency) {
    let store = FaultStore::new(MemoryStore::new());
    let idem = Idempotency::builder(store.clone()).policy(policy).build();
    (store, idem.unwrap())
}

fn three_attempts() -> Policy {
    Policy::default().max_attempts(NonZeroU32::new(3).unwrap())
}

fn builder(idem: &Idempotency) -> Builder {
    let scope = Scope::new("orders").unwrap();
    Consumer::builder(idem.clone(), scope, KeyFrom::header("Idempotency-Key"))
}

fn message(key: &str) -> Message {
    Message::new("500 usd").with_header("Idempotency-Key", key.to_owned())
}

/// A handler that must not run.
async fn never(_: Context) -> Result<(), Failure<String>> {
    panic!("the handler ran")
}

async fn fine(context: Context) -> Result<u32, Failure<String>> {
    Ok(context.attempt())
}
