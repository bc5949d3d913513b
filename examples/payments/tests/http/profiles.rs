//! The rules as each profile speaks them.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::service::{Answer, BINARY, Service, order};

struct Rules {
    profile: &'static str,
    without_key: StatusCode,
    bare_key: StatusCode,
    mismatch: StatusCode,
}

#[tokio::test]
async fn profiles_differ_in_what_they_require_and_how_they_refuse() {
    for rules in [
        Rules {
            profile: "seed",
            without_key: StatusCode::BAD_REQUEST,
            bare_key: StatusCode::CREATED,
            mismatch: StatusCode::CONFLICT,
        },
        Rules {
            profile: "ietf",
            without_key: StatusCode::BAD_REQUEST,
            bare_key: StatusCode::BAD_REQUEST,
            mismatch: StatusCode::UNPROCESSABLE_ENTITY,
        },
        Rules {
            profile: "stripe",
            without_key: StatusCode::CREATED,
            bare_key: StatusCode::CREATED,
            mismatch: StatusCode::BAD_REQUEST,
        },
    ] {
        speaks(&rules).await;
    }
}

async fn speaks(rules: &Rules) {
    let service = Service::start(&["--profile", rules.profile]).await;
    let without = service.request("acme", Method::POST, "/v1/payments");
    let without = Answer::of(without.json(&order())).await;
    assert_eq!(without.status, rules.without_key, "{}", rules.profile);
    let bare = service.pay("acme", "bare", &order()).await;
    assert_eq!(bare.status, rules.bare_key, "{}", rules.profile);

    let first = service.pay("acme", "\"k\"", &order()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", rules.profile);
    let again = service.pay("acme", "\"k\"", &order()).await;
    again.assert_replays(&first);
    let other = json!({"amount": 700, "currency": "usd"});
    let other = service.pay("acme", "\"k\"", &other).await;
    assert_eq!(other.status, rules.mismatch, "{}", rules.profile);
    assert_eq!(other.code(), "fingerprint-mismatch");
}

/// A malformed key is refused in every profile: a client that sent one never runs unprotected.
#[tokio::test]
async fn a_malformed_key_is_refused_even_where_none_is_needed() {
    for profile in ["seed", "ietf", "stripe"] {
        let service = Service::start(&["--profile", profile]).await;
        for key in ["", "\"a", "a\"", "\"\"", "\"a\", \"b\""] {
            let answer = service.pay("acme", key, &order()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{profile}: {key}");
            assert_eq!(answer.code(), "key-malformed", "{profile}: {key}");
        }
        service.charged("acme", 0).await;
    }
}

/// A store nobody knows: the message says which are known.
#[test]
fn an_unknown_store_is_refused_by_name() {
    let output = std::process::Command::new(BINARY)
        .args(["--store", "floppy:a"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("unknown store `floppy:`"), "{said}");
    assert!(said.contains("memory:"), "{said}");
}

/// What Stripe's clients send and read; `cargo xtask stripe` runs the clients themselves.
#[tokio::test]
async fn the_stripe_profile_takes_forms_and_writes_errors_as_stripe_does() {
    let service = Service::start(&["--profile", "stripe"]).await;
    let pay = |key: &'static str, form: &'static str| {
        let request = service.request("acme", Method::POST, "/v1/payments");
        let request = request
            .header("Idempotency-Key", key)
            .header("Content-Type", "application/x-www-form-urlencoded");
        Answer::of(request.body(form))
    };
    let first = pay("k", "amount=500&currency=usd&description=two+beans").await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(first.json()["description"], "two beans");
    let respelled = pay("k", "amount=500&currency=usd&description=two%20beans").await;
    respelled.assert_replays(&first);
    service.charged("acme", 1).await;

    let invalid = pay("new", "amount=-1&currency=usd").await;
    assert_eq!(invalid.status, StatusCode::BAD_REQUEST);
    assert_eq!(invalid.json()["error"]["type"], "invalid_request_error");
    assert_eq!(invalid.json()["error"]["param"], "amount");
    let declined = "amount=500&currency=usd&sandbox[status]=402";
    let declined_once = pay("declined", declined).await;
    assert_eq!(declined_once.json()["error"]["type"], "card_error");
    pay("declined", declined)
        .await
        .assert_replays(&declined_once);
    service.charged("acme", 2).await;

    let unknown = Answer::of(service.request("{no}", Method::GET, "/v1/payments")).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unknown.json()["error"]["type"], "invalid_request_error");
}
