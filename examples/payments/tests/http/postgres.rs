//! Keys and books in one PostgreSQL: a payment commits together with its answer.

mod crashes;
mod database;
mod sandbox;

use idem_testbed::{Postgres, skip_or_fail};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::service::{Answer, Service, order, trouble, until};
use database::Database;

/// A hundred requests to two processes (G1): one charge between them, on books that both see.
#[tokio::test]
async fn a_race_between_processes_is_charged_once() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let services = [database.service(&[]).await, database.service(&[]).await];
    let slow = trouble(&json!({"delay_ms": 50}));
    let mut racers = JoinSet::new();
    for service in services.iter().cycle().take(100) {
        racers.spawn(Answer::of(service.payment("acme", "k", &slow)));
    }
    let answers = racers.join_all().await;
    let first = |answer: &&Answer| answer.status == StatusCode::CREATED && !answer.is_replay();
    assert_eq!(answers.iter().filter(first).count(), 1);
    for service in &services {
        assert_eq!(service.charges("acme").await, 1);
    }
    assert_eq!(database.transfers("acme"), 1);
}

/// Who waits at one process gets the answer that another one is working on (G2).
#[tokio::test]
async fn a_waiter_gets_the_answer_of_another_process() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let one = database.service(&[]).await;
    let other = database.service(&["--on-busy", "wait:60s"]).await;
    let slow = trouble(&json!({"delay_ms": 500}));
    let first = tokio::spawn(Answer::of(one.payment("acme", "k", &slow)));
    one.at_work("acme").await;
    let waited = other.pay("acme", "k", &slow).await;
    waited.assert_replays(&first.await.unwrap());
    assert_eq!(database.transfers("acme"), 1);
}

/// Answers and books outlive the process: payments, refunds, what was described and what was voided.
#[tokio::test]
async fn the_books_survive_a_restart() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let before = database.service(&[]).await;
    let paid = before.pay("acme", "k", &order()).await;
    let payment = format!("/v1/payments/{}", paid.id());
    let tea = json!({"description": "tea"});
    let describe = |service: &Service| {
        let patch = service.request("acme", Method::PATCH, &payment);
        Answer::of(patch.header("Idempotency-Key", "tea").json(&tea))
    };
    let described = describe(&before).await;
    assert_eq!(described.status, StatusCode::OK);
    let refund = before.request("acme", Method::POST, "/v1/refunds");
    let refund = refund.header("Idempotency-Key", "back").json(&order());
    assert_eq!(Answer::of(refund).await.status, StatusCode::CREATED);
    let voided = before.pay("acme", "other", &order()).await;
    let void = before.request(
        "acme",
        Method::DELETE,
        &format!("/v1/payments/{}", voided.id()),
    );
    assert_eq!(Answer::of(void).await.json()["status"], "voided");
    let list = |service: &Service, what: &str| {
        Answer::of(service.request("acme", Method::GET, &format!("/v1/{what}")))
    };
    let books = [
        list(&before, "payments").await,
        list(&before, "refunds").await,
    ];
    before.program.kill();

    let after = database.service(&[]).await;
    let again = [
        list(&after, "payments").await,
        list(&after, "refunds").await,
    ];
    assert_eq!(again.map(|list| list.json()), books.map(|list| list.json()));
    let payments = list(&after, "payments").await.json();
    assert_eq!(payments["charges_executed"], 2);
    assert_eq!(payments["payments"][0]["description"], "tea");
    assert_eq!(payments["payments"][1]["status"], "voided");
    after.pay("acme", "k", &order()).await.assert_replays(&paid);
    describe(&after).await.assert_replays(&described);
    assert_eq!(after.charges("acme").await, 2);
    let stranger = after.request("stranger", Method::GET, &payment);
    assert_eq!(Answer::of(stranger).await.status, StatusCode::NOT_FOUND);
}

/// Processes that start at once over an empty database all come up.
#[tokio::test]
async fn processes_that_start_at_once_agree_on_the_tables() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let services = tokio::join!(
        database.service(&[]),
        database.service(&[]),
        database.service(&[]),
        database.service(&[]),
    );
    let paid = services.0.pay("acme", "k", &order()).await;
    services
        .3
        .pay("acme", "k", &order())
        .await
        .assert_replays(&paid);
}

/// PostgreSQL is gone before the claim: nothing runs (G6), and once it is back the same request
/// does.
#[tokio::test]
async fn g6_nothing_is_charged_while_the_store_is_away() {
    let Some(server) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let service = Service::start(&["--store", &server.url()]).await;
    server.kill();
    let refused = service.pay("acme", "k", &order()).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.code(), "store-unavailable");
    assert!(refused.header("retry-after").is_some());

    server.restart().await.unwrap();
    let paid = until(async || {
        let answer = service.pay("acme", "k", &order()).await;
        (answer.code() != "store-unavailable").then_some(answer)
    })
    .await;
    assert_eq!(paid.status, StatusCode::CREATED);
    service.charged("acme", 1).await;
}

#[cfg(feature = "vectors")]
#[tokio::test]
async fn the_http_vectors_pass() {
    if let Some(database) = Database::fresh().await {
        crate::vectors::pass_on(&database.service(&["--vectors"]).await).await;
    }
}
