//! The path that counts where routers rewrite it.

mod support;

use axum::{Router, body::Body, routing::post};
use http::Method;
use http_body_util::BodyExt;
use idem_tower::{PathFrom, RememberTarget, Target};
use support::{
    call, layer, memory, pay,
    shop::{Runs, created, payments},
};
use tower::{Layer, ServiceExt};

/// Two routers with the same inner path, and a count for each.
fn nested() -> (Router, Runs, Runs) {
    let (a, b) = (Runs::default(), Runs::default());
    let side = |runs: &Runs| {
        let runs = runs.clone();
        Router::new().route("/pay", post(move || async move { created(runs.count()) }))
    };
    let layer = layer(&memory()).path_from(PathFrom::Noted);
    let (a_side, b_side) = (side(&a).layer(layer.clone()), side(&b).layer(layer));
    (Router::new().nest("/a", a_side).nest("/b", b_side), a, b)
}

async fn assert_apart(app: Router, a: Runs, b: Runs) {
    let send = |path| call(Method::POST, path).header("idempotency-key", "k");
    let first = send("/a/pay").send(&app).await;
    assert_eq!(first.status, 201);
    assert_eq!(
        send("/b/pay").send(&app).await.code(),
        "fingerprint-mismatch"
    );
    send("/a/pay").send(&app).await.assert_replays(&first);
    assert_eq!((a.get(), b.get()), (1, 0));
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn nested_routers_do_not_take_each_others_requests_for_repeats() {
    let (app, a, b) = nested();
    assert_apart(app, a, b).await;
}

#[tokio::test]
async fn nested_routers_inside_of_a_remembered_target_are_apart_too() {
    let (app, a, b) = nested();
    assert_apart(app.layer(RememberTarget), a, b).await;
}

#[tokio::test]
async fn whoever_rewrites_a_uri_can_leave_the_original_behind() {
    let (app, runs) = payments(layer(&memory()).path_from(PathFrom::Noted));
    let rewritten = |original: &'static str| {
        let mut payment = pay("k");
        payment.request = payment.request.extension(Target(original.parse().unwrap()));
        payment
    };
    let first = rewritten("/a").send(&app).await;
    assert_eq!(
        rewritten("/b").send(&app).await.code(),
        "fingerprint-mismatch"
    );
    rewritten("/a").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

/// Without a note of the original, two nested routes could look alike: nothing runs.
#[tokio::test]
async fn g4_a_request_without_a_note_of_its_path_is_refused_and_does_not_run() {
    let runs = Runs::default();
    let counting = runs.clone();
    let handler = tower::service_fn(move |_: http::Request<idem_tower::RequestBody<Body>>| {
        let answer = created(counting.count());
        async move { Ok::<_, std::convert::Infallible>(answer) }
    });
    let service = layer(&memory()).path_from(PathFrom::Noted).layer(handler);
    let answer = service
        .oneshot(pay("k").into_request::<Body>())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), runs.get()), (500, 0));
    let problem = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&problem).contains("\"misconfigured\""));
}
