//! Another request under a known key (G4), and what makes a request another one.

mod support;

use std::sync::Arc;

use axum::{Router, body::Body, routing::post};
use http::{HeaderName, Method, StatusCode};
use http_body_util::BodyExt;
use idem_http::{BodyForm, CanonicalJson, FingerprintRules, Part, Profile};
use idem_tower::{PathFrom, RememberTarget, Target};
use support::{
    Call, call, layer, memory, pay,
    shop::{Runs, created, payments, shop},
};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};

/// Sends a payment, then `other` under the same key, then the payment again.
async fn assert_mismatch(other: Call) {
    let (app, runs) = payments(
        layer(&memory()).profile(Profile::default().methods([Method::POST, Method::PATCH])),
    );
    let first = pay("k").send(&app).await;
    let refused = other.header("idempotency-key", "k").send(&app).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.code(), "fingerprint-mismatch");
    assert_eq!(refused.header("retry-after"), None);
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

fn json(method: Method, target: &str) -> Call {
    call(method, target)
        .header("content-type", "application/json")
        .body(r#"{"amount":500}"#)
}

#[tokio::test]
async fn g4_another_amount_is_a_mismatch() {
    assert_mismatch(json(Method::POST, "/payments").body(r#"{"amount":200}"#)).await;
}

#[tokio::test]
async fn g4_another_path_is_a_mismatch() {
    assert_mismatch(json(Method::POST, "/refunds")).await;
}

#[tokio::test]
async fn g4_another_method_is_a_mismatch() {
    assert_mismatch(json(Method::PATCH, "/payments")).await;
}

#[tokio::test]
async fn g4_another_query_is_a_mismatch() {
    assert_mismatch(json(Method::POST, "/payments?capture=false")).await;
}

#[tokio::test]
async fn g4_another_content_type_is_a_mismatch() {
    let other = call(Method::POST, "/payments")
        .header("content-type", "text/plain")
        .body(r#"{"amount":500}"#);
    assert_mismatch(other).await;
}

#[tokio::test]
async fn g4_another_content_encoding_is_a_mismatch() {
    assert_mismatch(json(Method::POST, "/payments").header("content-encoding", "gzip")).await;
}

#[tokio::test]
async fn g4_a_mismatch_while_in_flight_is_a_mismatch_and_not_in_flight() {
    let gate = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&gate);
    let (app, runs) = shop(layer(&memory()), move |run| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            created(run)
        }
    });
    let waiting = tokio::spawn({
        let app = app.clone();
        async move { pay("k").send(&app).await }
    });
    while runs.get() == 0 {
        tokio::task::yield_now().await;
    }
    let other = pay("k").body("{}").send(&app).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    assert_eq!(pay("k").send(&app).await.code(), "in-flight");
    opens.add_permits(1);
    let first = waiting.await.unwrap();
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

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

#[tokio::test]
async fn headers_can_count_and_parts_can_be_left_out() {
    let rules = FingerprintRules {
        headers: vec![HeaderName::from_static("api-version")],
        without: vec![Part::Query],
        body: BodyForm::Bytes,
    };
    let (app, _) = payments(layer(&memory()).profile(Profile::default().fingerprint(rules)));
    let send = |target, version| {
        json(Method::POST, target)
            .header("idempotency-key", "k")
            .header("api-version", version)
    };
    let first = send("/payments", "1").send(&app).await;
    send("/payments?utm=x", "1")
        .send(&app)
        .await
        .assert_replays(&first);
    assert_eq!(
        send("/payments", "2").send(&app).await.code(),
        "fingerprint-mismatch"
    );
}

#[tokio::test]
async fn canonical_json_folds_spellings_and_refuses_what_is_ambiguous() {
    let rules = FingerprintRules {
        body: BodyForm::Json(CanonicalJson::default().ignoring("/sent_at")),
        ..FingerprintRules::default()
    };
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().fingerprint(rules)));
    let first = pay("k").send(&app).await;
    let respelled = pay("k")
        .body(r#"{ "sent_at": 2, "amount": 5e2 }"#)
        .send(&app)
        .await;
    respelled.assert_replays(&first);
    for ambiguous in [
        r#"{"amount":1,"amount":500}"#,
        r#"{"amount":9007199254740993}"#,
        "{",
    ] {
        let refused = pay("new").body(ambiguous).send(&app).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "body-not-canonical")
        );
    }
    assert_eq!(runs.get(), 1);
}
