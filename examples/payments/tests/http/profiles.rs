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
