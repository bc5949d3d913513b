//! What handlers find, and what an application says in its own words.

mod support;

use std::time::Duration;

use axum::{
    Extension, Router, extract::Request, middleware::Next, response::IntoResponse, routing::any,
};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use idem_core::Context;
use idem_http::{Code, Problem, Profile};
use support::{
    call, layer, memory, pay,
    shop::{Runs, payments},
};

/// And not with a 500, because an extension is missing.
#[tokio::test]
async fn where_a_key_is_optional_a_handler_finds_that_it_is_not_protected() {
    let handler = async |Extension(context): Extension<Context>| {
        format!("{} {}", context.is_protected(), context.attempt())
    };
    let layer = layer(&memory()).profile(Profile::default().optional());
    let app = Router::new().fallback(any(handler)).layer(layer);
    let without = call(Method::POST, "/payments").send(&app).await;
    assert_eq!(without.body, "false 0");
    assert_eq!(pay("k").send(&app).await.body, "true 1");
}

#[tokio::test]
async fn a_key_can_come_from_an_extractor() {
    let from_path = |parts: &http::request::Parts| match parts.uri.path().strip_prefix("/pay/") {
        Some(key) => match idem_core::IdempotencyKey::new(key) {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(Problem::new(Code::KeyMalformed).into()),
        },
        None => Ok(None),
    };
    let (app, runs) = payments(layer(&memory()).key_from(from_path));
    let send = |path| call(Method::POST, path).send(&app);
    let first = send("/pay/k").await;
    send("/pay/k").await.assert_replays(&first);
    assert_eq!(send("/other").await.code(), "key-missing");
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_route_can_answer_problems_in_its_own_words() {
    let layer = layer(&memory()).on_error(|problem| {
        let body = format!("{{\"error\":{{\"kind\":\"{}\"}}}}", problem.code.as_str());
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = problem.status;
        response
    });
    let (app, _) = payments(layer);
    let answer = call(Method::POST, "/payments").send(&app).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, r#"{"error":{"kind":"key-missing"}}"#);
}

/// The ending of a handler that failed is stored all the same.
#[tokio::test]
async fn words_that_panic_cost_no_answer() {
    let charges = Runs::default();
    let charging = charges.clone();
    let handler = async move || {
        charging.count();
        let fails: fn() = || panic!("after the charge");
        fails();
    };
    let layer = layer(&memory()).on_error(|_| panic!("no words"));
    let app: Router = Router::new().fallback(any(handler)).layer(layer);
    let first = pay("k").send(&app).await;
    assert_eq!(first.status, 500);
    let again = pay("k").send(&app).await;
    assert_eq!((again.status, charges.get()), (first.status, 1));
    assert_eq!(
        call(Method::POST, "/").send(&app).await.code(),
        "key-missing"
    );
}

/// A timeout layer inside cuts the handler off after the charge.
#[tokio::test]
async fn a_timeout_inside_charges_once() {
    let charges = Runs::default();
    let charging = charges.clone();
    let handler = move || {
        charging.count();
        std::future::pending::<()>()
    };
    let timeout = axum::middleware::from_fn(async |request: Request, next: Next| {
        let answer = tokio::time::timeout(Duration::from_millis(5), next.run(request));
        answer
            .await
            .unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
    });
    let app = Router::new().fallback(any(handler));
    let app: Router = app.layer(timeout).layer(layer(&memory()));
    for _ in 0..3 {
        assert_eq!(pay("k").send(&app).await.status, 408);
    }
    assert_eq!(charges.get(), 1);
}
