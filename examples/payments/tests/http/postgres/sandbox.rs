//! Trouble after the charge, where the charge commits together with the answer.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::database::Database;
use crate::service::{Answer, Service, order, trouble};

async fn twice(service: &Service, key: &str, sandbox: &Value) -> (Answer, Answer) {
    let body = trouble(sandbox);
    let first = service.pay("acme", key, &body).await;
    (first, service.pay("acme", key, &body).await)
}

/// An error that is final commits its charge, as any answer does (G7).
#[tokio::test]
async fn g7_final_statuses_commit_their_charge_and_are_replayed() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let service = database.service(&[]).await;
    for (charges, status) in (1..).zip([200, 303, 402, 500]) {
        let (first, again) = twice(&service, &status.to_string(), &json!({"status": status})).await;
        assert_eq!(first.status.as_u16(), status);
        again.assert_replays(&first);
        assert_eq!(service.charges("acme").await, charges);
    }
}

/// 401 and 429 say that nothing happened, and here that is the truth: the charge is rolled back,
/// and the repeat runs.
#[tokio::test]
async fn g7_statuses_that_say_nothing_happened_roll_the_charge_back() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let service = database.service(&[]).await;
    for status in [401, 429] {
        let (first, again) = twice(&service, &status.to_string(), &json!({"status": status})).await;
        assert_eq!(first.status.as_u16(), status);
        assert_eq!(again.status.as_u16(), status);
        assert!(!again.is_replay());
    }
    assert_eq!(service.charges("acme").await, 0);
}

/// A panic rolls the charge back; its 500 is stored, for what else it may have done.
#[tokio::test]
async fn g7_a_panic_rolls_the_charge_back() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let service = database.service(&[]).await;
    let (first, again) = twice(&service, "k", &json!({"panic": true})).await;
    assert_eq!(first.code(), "handler-failed");
    assert_eq!((again.status, again.code()), (first.status, first.code()));
    assert_eq!(service.charges("acme").await, 0);
    let next = service.pay("acme", "next", &order()).await;
    assert_eq!(next.status, StatusCode::CREATED);
    assert_eq!(service.charges("acme").await, 1);
}

/// An answer too big to keep commits its charge, and a repeat gets its head.
#[tokio::test]
async fn g7_an_answer_too_big_to_keep_commits_its_charge() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let service = database.service(&[]).await;
    for (charges, stream) in (1..).zip([false, true]) {
        let sandbox = json!({"response_bytes": 3 << 19, "stream": stream});
        let (first, again) = twice(&service, &stream.to_string(), &sandbox).await;
        assert_eq!(first.body.len(), 3 << 19);
        assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
        assert_eq!(service.charges("acme").await, charges);
    }
}

/// A request that needs no key commits by itself.
#[tokio::test]
async fn without_a_key_a_charge_commits_by_itself() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let service = database.service(&["--profile", "stripe"]).await;
    for charges in 1..=2 {
        let payment = service.request("acme", Method::POST, "/v1/payments");
        let paid = Answer::of(payment.json(&order())).await;
        assert_eq!(paid.status, StatusCode::CREATED);
        assert_eq!(paid.json()["execution"], Value::Null);
        assert_eq!(service.charges("acme").await, charges);
    }
}
