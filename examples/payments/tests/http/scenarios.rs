//! What clients, users and networks do to a payment, and how often it is charged: once.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use crate::service::{Answer, Service, order, trouble, until};

/// A busy key is waited for: whoever repeats gets the answer and no refusal.
const WAIT: [&str; 2] = ["--on-busy", "wait:60s"];

/// The client gives up waiting and tries again (G1, G2).
#[tokio::test]
async fn timeout_and_retry() {
    let service = Service::start(&WAIT).await;
    let slow = trouble(&json!({"delay_ms": 500}));

    let request = service.payment("acme", "k", &slow);
    let given_up = Answer::try_of(request.timeout(Duration::from_millis(50))).await;
    assert!(given_up.unwrap_err().is_timeout());

    let retry = service.pay("acme", "k", &slow).await;
    assert_eq!(retry.status, StatusCode::CREATED);
    service.pay("acme", "k", &slow).await;
    service.charged("acme", 1).await;
}

/// Two clicks, two requests, one key (G1, G2).
#[tokio::test]
async fn double_click() {
    let service = Service::start(&WAIT).await;
    let slow = trouble(&json!({"delay_ms": 100}));
    let click = || service.pay("acme", "k", &slow);
    let (one, other) = tokio::join!(click(), click());
    match one.is_replay() {
        true => one.assert_replays(&other),
        false => other.assert_replays(&one),
    }
    service.charged("acme", 1).await;
}

/// The connection breaks while the request is at work: it goes on to its end, and the retry gets
/// what it came to.
#[tokio::test]
async fn request_dying_mid_flight() {
    let service = Service::start(&WAIT).await;
    let slow = trouble(&json!({"delay_ms": 300}));
    let body = slow.to_string();
    let mut connection = TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "POST /v1/payments HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer acme\r\n\
         Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        service.address,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body.as_bytes()).await.unwrap();
    service.at_work("acme").await;
    drop(connection);

    let retry = service.pay("acme", "k", &slow).await;
    assert_eq!(retry.status, StatusCode::CREATED);
    assert!(retry.is_replay());
    service.charged("acme", 1).await;
}

/// A hundred at once (G1): one runs, the others are turned away or get its answer.
#[tokio::test]
async fn charging_twice_is_a_race_that_one_wins() {
    let service = Service::start(&[]).await;
    let slow = trouble(&json!({"delay_ms": 50}));
    let mut racers = JoinSet::new();
    for _ in 0..100 {
        let request = service.payment("acme", "k", &slow);
        racers.spawn(Answer::of(request));
    }
    let answers = racers.join_all().await;
    let (first, rest): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::CREATED && !answer.is_replay());
    assert_eq!(first.len(), 1);
    for answer in rest {
        if answer.code() == "in-flight" {
            assert_eq!(answer.status, StatusCode::CONFLICT);
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(seconds >= 1);
        } else {
            answer.assert_replays(first[0]);
        }
    }
    service.charged("acme", 1).await;
}

/// An old key on a new amount (G4): refused, not run, and the first request still replays.
#[tokio::test]
async fn same_key_with_amount_100_and_then_200_is_refused_with_409() {
    let service = Service::start(&[]).await;
    let of = |amount: u64| json!({"amount": amount, "currency": "usd"});
    let first = service.pay("acme", "k", &of(100)).await;

    let other = service.pay("acme", "k", &of(200)).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(other.code(), "fingerprint-mismatch");
    assert_eq!(other.header("retry-after"), None, "waiting does not help");

    service
        .pay("acme", "k", &of(100))
        .await
        .assert_replays(&first);
    service.charged("acme", 1).await;
}

/// G4: the mismatch is told before the busy key.
#[tokio::test]
async fn another_amount_is_a_mismatch_even_while_the_first_is_at_work() {
    let service = Service::start(&[]).await;
    let slow = trouble(&json!({"delay_ms": 1000}));
    let first = tokio::spawn(Answer::of(service.payment("acme", "k", &slow)));
    service.at_work("acme").await;
    let other = service.pay("acme", "k", &order()).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    assert_eq!(first.await.unwrap().status, StatusCode::CREATED);
    service.charged("acme", 1).await;
}

/// The id is drawn by the first run, and is everybody's answer (G2).
#[tokio::test]
async fn a_retry_returns_the_same_id() {
    let service = Service::start(&[]).await;
    let first = service.pay("acme", "k", &order()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert!(first.id().starts_with("pay_"));
    let location = first.header("location").unwrap();
    assert_eq!(location, format!("/v1/payments/{}", first.id()));

    for spelled in ["k", "\"k\""] {
        let again = service.pay("acme", spelled, &order()).await;
        again.assert_replays(&first);
    }
    let found = Answer::of(service.request("acme", Method::GET, location)).await;
    assert_eq!(found.json(), first.json());

    let fresh = service.pay("acme", "another", &order()).await;
    assert_ne!(fresh.id(), first.id());
    service.charged("acme", 2).await;
}

/// Methods that are repeatable by nature run every time, whatever key they carry.
#[tokio::test]
async fn get_put_and_delete_are_untouched() {
    let service = Service::start(&[]).await;
    let pay = async |key: &str| service.pay("acme", key, &order()).await;
    let (one, other) = (pay("1").await, pay("2").await);
    let with_key = |method, answer: &Answer| {
        let path = answer.header("location").unwrap();
        service
            .request("acme", method, path)
            .header("Idempotency-Key", "the same")
    };
    for payment in [&one, &other] {
        let found = Answer::of(with_key(Method::GET, payment)).await;
        assert_eq!(found.id(), payment.id());
        assert_eq!(found.header("idempotent-replayed"), None);
    }
    for text in ["tea", "coffee"] {
        let body = json!({"description": text});
        let put = Answer::of(with_key(Method::PUT, &one).json(&body)).await;
        assert_eq!(put.json()["description"], text);
        assert_eq!(put.header("idempotent-replayed"), None);
    }
    for payment in [&one, &other] {
        let voided = Answer::of(with_key(Method::DELETE, payment)).await;
        assert_eq!(voided.json()["status"], "voided");
        assert_eq!(voided.id(), payment.id());
        assert_eq!(voided.header("idempotent-replayed"), None);
    }
}

/// A patch is protected as a payment is.
#[tokio::test]
async fn a_patch_runs_once_per_key() {
    let service = Service::start(&[]).await;
    let payment = service.pay("acme", "pay", &order()).await;
    let patch = async |key: &str, text: &str| {
        let path = payment.header("location").unwrap();
        let request = service
            .request("acme", Method::PATCH, path)
            .header("Idempotency-Key", key)
            .json(&json!({"description": text}));
        Answer::of(request).await
    };
    let first = patch("a", "tea").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.json()["description"], "tea");
    patch("b", "coffee").await;

    patch("a", "tea").await.assert_replays(&first);
    assert_eq!(patch("a", "milk").await.code(), "fingerprint-mismatch");
    let path = payment.header("location").unwrap();
    let now = Answer::of(service.request("acme", Method::GET, path)).await;
    assert_eq!(
        now.json()["description"],
        "coffee",
        "the replay ran nothing"
    );
}

/// Past its retention a key is as new.
#[tokio::test]
async fn a_key_that_outlived_its_retention_runs_anew() {
    let service = Service::start(&["--retention", "1s"]).await;
    let first = service.pay("acme", "k", &order()).await;
    let second = until(async || {
        let answer = service.pay("acme", "k", &order()).await;
        (!answer.is_replay()).then_some(answer)
    })
    .await;
    assert_eq!(second.status, StatusCode::CREATED);
    assert_ne!(second.id(), first.id());
    service.charged("acme", 2).await;
}

/// Work that takes longer than its lease keeps it by renewing (G1).
#[tokio::test]
async fn a_bank_slower_than_the_lease_is_asked_once() {
    let service = Service::start(&["--lease", "200ms", "--on-busy", "wait:60s"]).await;
    let slow = trouble(&json!({"delay_ms": 1500}));
    let pay = || service.pay("acme", "k", &slow);
    let (one, other) = tokio::join!(pay(), pay());
    assert_eq!(one.body, other.body);
    assert_eq!(one.json()["execution"]["attempt"], 1);
    service.charged("acme", 1).await;
}

/// A payment and a refund are different requests, although their bodies are alike.
#[tokio::test]
async fn a_refund_under_the_key_of_a_payment_is_refused() {
    let service = Service::start(&[]).await;
    service.pay("acme", "k", &order()).await;
    let refund = |key: &str| {
        service
            .request("acme", Method::POST, "/v1/refunds")
            .header("Idempotency-Key", key)
            .json(&order())
    };
    assert_eq!(Answer::of(refund("k")).await.code(), "fingerprint-mismatch");
    let first = Answer::of(refund("r")).await;
    assert!(first.id().starts_with("ref_"));
    Answer::of(refund("r")).await.assert_replays(&first);
    let list = Answer::of(service.request("acme", Method::GET, "/v1/refunds")).await;
    assert_eq!(list.json()["refunds_executed"], 1);
    service.charged("acme", 1).await;
}
