//! What a repeat gets.

mod support;

use http::Method;
use support::{call, layer, memory, pay, shop::payments};

#[tokio::test]
async fn g2_a_201_with_a_location_repeated_gets_the_same_status_body_location_and_a_marker() {
    let (app, runs) = payments(layer(&memory()).build());
    let first = pay("k").send(&app).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("location"), Some("/payments/1"));
    for _ in 0..3 {
        pay("k").send(&app).await.assert_replays(&first);
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_quoted_then_a_bare_key_is_one_key() {
    let (app, runs) = payments(layer(&memory()).build());
    let first = pay("\"order-1\"").send(&app).await;
    pay("order-1").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_post_without_a_key_is_refused_and_does_not_run() {
    let (app, runs) = payments(layer(&memory()).build());
    let answer = call(Method::POST, "/payments").send(&app).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "key-missing")
    );
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn g4_another_amount_under_one_key_is_refused_and_the_first_still_replays() {
    let (app, runs) = payments(layer(&memory()).build());
    let first = pay("k").send(&app).await;
    let other = pay("k").body(r#"{"amount":200}"#).send(&app).await;
    assert_eq!(
        (other.status.as_u16(), other.code().as_str()),
        (409, "fingerprint-mismatch")
    );
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}
