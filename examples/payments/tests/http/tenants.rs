//! Whose key it is.

use reqwest::{Method, StatusCode};

use crate::service::{Answer, Service, order};

/// Two merchants who draw the same key are two requests, and neither sees the other's.
#[tokio::test]
async fn two_merchants_with_one_key_are_charged_once_each() {
    let service = Service::start(&[]).await;
    let acme = service.pay("acme", "k", &order()).await;
    let zenith = service.pay("zenith", "k", &order()).await;
    assert!(!zenith.is_replay());
    assert_ne!(acme.id(), zenith.id());
    for merchant in ["acme", "zenith"] {
        service.charged(merchant, 1).await;
    }
    let location = acme.header("location").unwrap();
    let theirs = Answer::of(service.request("zenith", Method::GET, location)).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
}

/// Names that look like each other's paths are names like any other (S8).
#[tokio::test]
async fn s8_a_merchant_cannot_be_named_into_the_keys_of_another() {
    let service = Service::start(&[]).await;
    for name in ["a", "a/b", "a/", "a~2Fb", "merchant/a"] {
        let first = service.pay(name, "b:k", &order()).await;
        assert!(!first.is_replay(), "{name}");
        service.charged(name, 1).await;
    }
}

/// Without a bearer: 401, and nothing is stored under the key that better credentials could be
/// answered with.
#[tokio::test]
async fn a_401_is_not_replayed_to_good_credentials() {
    let service = Service::start(&[]).await;
    let without = || {
        service
            .client
            .post(service.url("/v1/payments"))
            .header("Idempotency-Key", "k")
            .json(&order())
    };
    for request in [
        without(),
        without().header("Authorization", "Basic YWNtZQ=="),
        without().header("Authorization", "Bearer "),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.code(), "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let good = service.pay("acme", "k", &order()).await;
    assert_eq!(good.status, StatusCode::CREATED);
    assert!(!good.is_replay());
    service.charged("acme", 1).await;
}

/// Everything below /v1 is somebody's.
#[tokio::test]
async fn reading_needs_a_merchant_too() {
    let service = Service::start(&[]).await;
    for path in ["/v1/payments", "/v1/payments/pay_1", "/v1/refunds"] {
        let answer = Answer::of(service.client.get(service.url(path))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}
