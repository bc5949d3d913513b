//! Handlers that died half-way, and keys whose time or attempts are over.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Extension, Router, routing::post};
use bytes::Bytes;
use http::StatusCode;
use idem_core::{Context, Idempotency, OnAbandoned, OnBusy, Policy};
use idem_memory::{ManualClock, MemoryConfig, MemoryStore};
use support::{
    engine, engine_over, layer, pay,
    shop::{Runs, payments, shop},
};
use tokio::{runtime::Runtime, sync::oneshot};

/// Gives up on a crashed handler soon, and waits for that.
fn impatient() -> Policy {
    Policy::default()
        .lease(Duration::from_millis(30))
        .on_busy(OnBusy::Wait(Duration::from_secs(600)))
}

/// A handler that tells what it finds. Its first run leaves a checkpoint, says so, and hangs.
fn hanging(idem: &Idempotency) -> (Router, Runs, oneshot::Receiver<()>) {
    let runs = Runs::default();
    let counting = runs.clone();
    let (hangs, hanging) = oneshot::channel();
    let hangs = Arc::new(Mutex::new(Some(hangs)));
    let handler = move |Extension(context): Extension<Context>| {
        let (run, hangs) = (counting.count(), hangs.lock().unwrap().take());
        async move {
            if let Some(hangs) = hangs {
                let checkpoint = Bytes::from(format!("charged in run {run}"));
                context.checkpoint(checkpoint).await.unwrap();
                hangs.send(()).unwrap();
                std::future::pending::<()>().await;
            }
            let resumed = context
                .previous_checkpoint()
                .map(|bytes| bytes.escape_ascii().to_string());
            let key = context.derive_key("charge");
            format!(
                "attempt {}, {resumed:?}, {}",
                context.attempt(),
                key.as_str().len()
            )
        }
    };
    let layer = layer(idem);
    let app = Router::new().route("/payments", post(handler)).layer(layer);
    (app, runs, hanging)
}

/// Runs a first attempt on a runtime of its own and drops that half-way: what a crash leaves.
fn crash(app: &Router, hanging: oneshot::Receiver<()>) {
    let runtime = Runtime::new().unwrap();
    let app = app.clone();
    runtime.spawn(async move { pay("k").send(&app).await });
    runtime.block_on(hanging).unwrap();
    runtime.shutdown_timeout(Duration::from_secs(60));
}

#[test]
fn after_a_crash_the_handler_finds_its_attempt_and_checkpoint() {
    let (app, runs, hanging) = hanging(&engine(impatient()));
    crash(&app, hanging);
    let answer = Runtime::new().unwrap().block_on(pay("k").send(&app));
    assert_eq!(answer.body, r#"attempt 2, Some("charged in run 1"), 36"#);
    assert_eq!(runs.get(), 2);
}

#[test]
fn after_a_crash_under_halt_the_outcome_is_unknown_and_nothing_runs() {
    let (app, runs, hanging) = hanging(&engine(impatient().on_abandoned(OnAbandoned::Halt)));
    crash(&app, hanging);
    let answer = Runtime::new().unwrap().block_on(pay("k").send(&app));
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (409, "outcome-unknown")
    );
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn past_its_retention_a_key_runs_anew() {
    let clock = ManualClock::new();
    let config = MemoryConfig::default().clock(clock.clone());
    let store = MemoryStore::with_config(config);
    let policy = Policy::default().retention(Duration::from_secs(3600));
    let idem = engine_over(store, policy);
    let (app, runs) = payments(layer(&idem));
    let first = pay("k").send(&app).await;
    clock.advance(Duration::from_secs(3599));
    pay("k").send(&app).await.assert_replays(&first);
    clock.advance(Duration::from_secs(2));
    assert!(!pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn past_the_most_attempts_nothing_runs() {
    let policy = Policy::default().max_attempts(2.try_into().unwrap());
    let (app, runs) = shop(layer(&engine(policy)), |_| async {
        StatusCode::TOO_MANY_REQUESTS
    });
    assert_eq!(pay("k").send(&app).await.status, 429);
    assert_eq!(pay("k").send(&app).await.status, 429);
    let third = pay("k").send(&app).await;
    assert_eq!(
        (third.status.as_u16(), third.code().as_str()),
        (409, "attempts-exhausted")
    );
    assert_eq!(runs.get(), 2);
}
