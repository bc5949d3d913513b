//! A method that a route does not have: 405 where axum asks the layer only about the methods it has.

mod support;

use axum::{Router, routing::get};
use http::Method;
use idem_tower::IdempotencyLayer;
use support::{Call, call, layer, memory, pay};

async fn listed() -> &'static str {
    "payments"
}

fn without_a_key() -> Call {
    call(Method::POST, "/payments")
}

fn idempotent() -> IdempotencyLayer {
    layer(&memory())
}

#[tokio::test]
async fn a_post_to_a_route_that_only_has_get_is_405_where_the_layer_is_on_its_methods() {
    let route = get(listed).route_layer(idempotent());
    let app = Router::new().route("/payments", route);
    for post in [without_a_key(), pay("k"), pay("\"")] {
        let answer = post.send(&app).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
        assert!(!answer.replayed());
    }
}

/// axum wraps its own 405 in these, and tells the layer neither route nor method.
#[tokio::test]
async fn a_post_without_a_key_is_400_where_the_layer_is_around_the_router() {
    let router = || Router::new().route("/payments", get(listed));
    for app in [
        router().layer(idempotent()),
        router().route_layer(idempotent()),
    ] {
        assert_eq!(without_a_key().send(&app).await.code(), "key-missing");
        // With a key the answer is axum's.
        assert_eq!(pay("k").send(&app).await.status, 405);
    }
}

/// Nor is there a route to tell of.
#[tokio::test]
async fn a_path_that_no_route_has_is_404_where_the_layer_is_on_routes() {
    let router = || Router::new().route("/payments", get(listed));
    let post = || call(Method::POST, "/nowhere");
    let on_routes = router().route_layer(idempotent());
    assert_eq!(post().send(&on_routes).await.status, 404);
    let around = router().layer(idempotent());
    assert_eq!(post().send(&around).await.code(), "key-missing");
}
