//! A store that is out of reach, before the claim and after the work.

use std::{sync::Arc, time::Duration};

use crate::support::{
    engine_over, layer, memory,
    outage::cuttable,
    pay, record, record_key,
    shop::{created, payments, shop},
};
use idem_core::{Claim, OnOutage, Policy};
use idem_memory::{MemoryConfig, MemoryStore};

#[tokio::test]
async fn g6_store_down_at_the_claim_is_503_and_nothing_runs() {
    let (idem, cable) = cuttable(Policy::default());
    let (app, runs) = payments(layer(&idem));
    cable.cut();
    let answer = pay("k").send(&app).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "store-unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(runs.get(), 0);
    cable.mend();
    assert_eq!(pay("k").send(&app).await.status, 201);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_replay_needs_the_store_and_is_503_without_it() {
    let (idem, cable) = cuttable(Policy::default());
    let (app, runs) = payments(layer(&idem));
    let first = pay("k").send(&app).await;
    cable.cut();
    assert_eq!(pay("k").send(&app).await.code(), "store-unavailable");
    cable.mend();
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn g5_store_down_at_the_completion_the_answer_is_sent_and_nothing_runs_again_once_it_is_back()
{
    let (idem, cable) = cuttable(Policy::default());
    let in_handler = Arc::new(cable.clone());
    let (app, runs) = shop(layer(&idem), move |run| {
        in_handler.cut();
        async move { created(run) }
    });
    let first = pay("k").send(&app).await;
    assert_eq!((first.status.as_u16(), first.replayed()), (201, false));
    assert_eq!(pay("k").send(&app).await.code(), "store-unavailable");
    cable.mend();
    idem.wait_idle().await;
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn under_fail_open_the_handler_runs_unprotected_and_knows_it() {
    let (idem, cable) = cuttable(Policy::default().on_outage(OnOutage::FailOpen));
    let (app, runs) = payments(layer(&idem));
    cable.cut();
    for run in 1..=2 {
        let answer = pay("k").send(&app).await;
        assert_eq!((answer.status.as_u16(), answer.replayed()), (201, false));
        assert_eq!(answer.header("idempotency-degraded"), Some("true"));
        assert_eq!(runs.get(), run);
    }
    cable.mend();
    let protected = pay("k").send(&app).await;
    assert!(!protected.replayed());
    assert_eq!(protected.header("idempotency-degraded"), None);
    assert!(pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 3);
}

#[tokio::test]
async fn a_panic_in_unprotected_work_is_a_500_and_not_a_broken_connection() {
    let (idem, cable) = cuttable(Policy::default().on_outage(OnOutage::FailOpen));
    cable.cut();
    let (app, _) = shop(layer(&idem), |run| async move {
        assert!(run > 1, "on fire");
        created(run)
    });
    assert_eq!(pay("k").send(&app).await.code(), "handler-failed");
    idem.wait_idle().await;
}

#[tokio::test]
async fn s9_a_store_that_is_set_up_wrong_is_not_told_as_an_unreadable_record() {
    let (idem, cable) = cuttable(Policy::default());
    let (app, runs) = payments(layer(&idem));
    cable.misconfigure();
    let answer = pay("k").send(&app).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (500, "misconfigured")
    );
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn s6_a_full_store_is_503_and_nothing_runs() {
    let store = MemoryStore::with_config(MemoryConfig::default().max_records(1));
    let policy = Policy::default().retry_budget(Duration::ZERO);
    let idem = engine_over(store, policy);
    let (app, runs) = payments(layer(&idem));
    let first = pay("a").send(&app).await;
    let answer = pay("b").send(&app).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "store-unavailable")
    );
    pay("a").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn an_answer_that_something_else_stored_is_told_and_not_run_again() {
    let idem = memory();
    let (app, runs) = payments(layer(&idem));
    pay("k").send(&app).await;
    // The same request under another key, answered by something that is no HTTP service.
    let print = record(&idem, "k").await.unwrap().fingerprint;
    let key = record_key("other");
    let Claim::Acquired(execution) = idem.claim(&key, &print).await.unwrap() else {
        panic!("it is vacant");
    };
    execution.complete("no stored response").await.unwrap();
    let answer = pay("other").send(&app).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (500, "record-unreadable")
    );
    assert_eq!(runs.get(), 1);
}
