//! What the service makes of requests it cannot take.

use reqwest::{Method, StatusCode, header};
use serde_json::json;

use crate::service::{Answer, Service, order};

/// Every mistake gets words of its own, and an answer like any other: stored under the key.
#[tokio::test]
async fn bad_input_is_told_member_by_member() {
    let service = Service::start(&[]).await;
    for (key, body, field, words) in [
        (
            "1",
            json!({"amount": 0, "currency": "usd"}),
            "amount",
            "greater than 0",
        ),
        (
            "2",
            json!({"amount": -5, "currency": "usd"}),
            "amount",
            "greater than 0",
        ),
        (
            "3",
            json!({"amount": 5.5, "currency": "usd"}),
            "amount",
            "minor units",
        ),
        (
            "4",
            json!({"amount": "5", "currency": "usd"}),
            "amount",
            "minor units",
        ),
        ("5", json!({"currency": "usd"}), "amount", "missing"),
        ("6", json!({"amount": 5}), "currency", "missing"),
        (
            "7",
            json!({"amount": 5, "currency": "dollar"}),
            "currency",
            "three letters",
        ),
        (
            "8",
            json!({"amount": 5, "currency": "usd", "description": 1}),
            "description",
            "text",
        ),
        (
            "9",
            json!({"amount": 5, "currency": "usd", "sandbox": {"delay": 1}}),
            "sandbox",
            "delay",
        ),
    ] {
        let answer = service.pay("acme", key, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.code(), "invalid-request");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["field"], field, "{body}");
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
        service
            .pay("acme", key, &body)
            .await
            .assert_replays(&answer);
    }
    service.charged("acme", 0).await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let service = Service::start(&[]).await;
    let post = |key: &'static str, content_type: &'static str, body: &'static str| {
        service
            .request("acme", Method::POST, "/v1/payments")
            .header("Idempotency-Key", key)
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
    };
    let broken = Answer::of(post("1", "application/json", "{\"amount\":")).await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
    assert_eq!(broken.code(), "body-malformed");
    let form = Answer::of(post("2", "application/x-www-form-urlencoded", "amount=5")).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(form.code(), "not-json");
    service.charged("acme", 0).await;
}

/// A body over the limit leaves no claim behind.
#[tokio::test]
async fn a_body_too_large_is_refused_and_leaves_the_key_free() {
    let service = Service::start(&[]).await;
    let mut large = order();
    large["description"] = json!("x".repeat(1 << 20));
    let refused = service.pay("acme", "k", &large).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let taken = service.pay("acme", "k", &order()).await;
    assert_eq!(taken.status, StatusCode::CREATED);
    assert!(!taken.is_replay());
}

#[tokio::test]
async fn what_is_not_there_is_said_in_problem_details() {
    let service = Service::start(&[]).await;
    let get = |path: &str| service.request("acme", Method::GET, path);
    for (request, status, code) in [
        (
            get("/v1/payments/pay_1"),
            StatusCode::NOT_FOUND,
            "not-found",
        ),
        (get("/v2"), StatusCode::NOT_FOUND, "not-found"),
        (
            service.request("acme", Method::DELETE, "/v1/refunds"),
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
}

/// The page comes whole from the binary: whatever it names is there, and it may load nothing else.
#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let service = Service::start(&[]).await;
    let page = Answer::of(service.client.get(service.url("/"))).await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");

    let html = String::from_utf8(page.body).unwrap();
    let links: Vec<&str> = ["src=\"", "href=\""]
        .into_iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        assert!(link.starts_with("/page/"), "{link}");
        let file = Answer::of(service.client.get(service.url(link))).await;
        assert_eq!(file.status, StatusCode::OK, "{link}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    }
}
