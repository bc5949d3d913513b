//! Which answers are final, which let the next request run.

mod support;

use axum::{Extension, response::Response};
use http::StatusCode;
use idem_core::{OnPanic, Policy};
use idem_http::{Ending, StatusRules};
use support::{
    engine, layer, memory, pay,
    shop::{created, shop},
};

/// Sends one payment twice to a handler with this status: how often it ran.
async fn runs_of(status: StatusCode) -> usize {
    let (app, runs) = shop(layer(&memory()).build(), move |run| async move {
        (status, format!("run {run}"))
    });
    let first = pay("k").send(&app).await;
    assert_eq!(first.status, status);
    let again = pay("k").send(&app).await;
    assert_eq!(again.status, status);
    assert_eq!(again.replayed(), runs.get() == 1);
    assert_eq!(again.body == first.body, runs.get() == 1);
    runs.get()
}

#[tokio::test]
async fn a_404_and_a_422_are_stored() {
    assert_eq!(runs_of(StatusCode::NOT_FOUND).await, 1);
    assert_eq!(runs_of(StatusCode::UNPROCESSABLE_ENTITY).await, 1);
}

#[tokio::test]
async fn a_429_and_a_503_run_again() {
    assert_eq!(runs_of(StatusCode::TOO_MANY_REQUESTS).await, 2);
    assert_eq!(runs_of(StatusCode::SERVICE_UNAVAILABLE).await, 2);
}

#[tokio::test]
async fn a_401_403_408_and_425_run_again() {
    for status in [401, 403, 408, 425] {
        assert_eq!(
            runs_of(StatusCode::from_u16(status).unwrap()).await,
            2,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_500_502_and_504_are_stored_because_their_effect_may_have_happened() {
    for status in [500, 502, 504] {
        assert_eq!(
            runs_of(StatusCode::from_u16(status).unwrap()).await,
            1,
            "{status}"
        );
    }
}

#[tokio::test]
async fn redirects_are_stored_with_their_location() {
    let (app, runs) = shop(layer(&memory()).build(), |_| async {
        (StatusCode::SEE_OTHER, [("location", "/payments/17")])
    });
    let first = pay("k").send(&app).await;
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(
        (first.header("location"), runs.get()),
        (Some("/payments/17"), 1)
    );
}

#[tokio::test]
async fn after_a_retryable_answer_another_request_is_a_mismatch_still() {
    let (app, runs) = shop(layer(&memory()).build(), |_| async {
        StatusCode::SERVICE_UNAVAILABLE
    });
    pay("k").send(&app).await;
    assert_eq!(
        pay("k").body("{}").send(&app).await.code(),
        "fingerprint-mismatch"
    );
    assert_eq!(runs.get(), 1);
}

/// A handler that panics in its first run.
async fn panicking(run: usize) -> Response {
    assert!(run > 1, "the card reader caught fire");
    created(run)
}

#[tokio::test]
async fn a_panic_is_stored_as_a_500_that_says_nothing_of_it() {
    let (app, runs) = shop(layer(&memory()).build(), panicking);
    let first = pay("k").send(&app).await;
    assert_eq!(
        (first.status.as_u16(), first.code().as_str()),
        (500, "handler-failed")
    );
    assert!(!String::from_utf8_lossy(&first.body).contains("card reader"));
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_panic_runs_again_where_the_policy_says_so() {
    let policy = Policy::default().on_panic(OnPanic::Retry);
    let idem = engine(policy);
    let (app, runs) = shop(layer(&idem).build(), panicking);
    assert_eq!(pay("k").send(&app).await.status, 500);
    assert_eq!(pay("k").send(&app).await.status, 201);
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_handler_can_say_otherwise_either_way() {
    let (app, runs) = shop(layer(&memory()).build(), |_| async {
        (StatusCode::CONFLICT, Extension(Ending::Retryable))
    });
    pay("k").send(&app).await;
    assert!(!pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 2);

    let (app, runs) = shop(layer(&memory()).build(), |_| async {
        (StatusCode::SERVICE_UNAVAILABLE, Extension(Ending::Final))
    });
    let first = pay("k").send(&app).await;
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_handler_can_ask_not_to_keep_its_body() {
    let (app, runs) = shop(layer(&memory()).build(), |_| async {
        (
            StatusCode::CREATED,
            Extension(Ending::FinalWithoutBody),
            "a secret shown once",
        )
    });
    assert_eq!(pay("k").send(&app).await.body, "a secret shown once");
    let again = pay("k").send(&app).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert!(again.body.is_empty());
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_route_can_say_otherwise() {
    let statuses = StatusRules::default()
        .retryable(StatusCode::BAD_GATEWAY)
        .stored(StatusCode::FORBIDDEN);
    for (status, expected) in [(StatusCode::BAD_GATEWAY, 2), (StatusCode::FORBIDDEN, 1)] {
        let layer = layer(&memory()).statuses(statuses.clone()).build();
        let (app, runs) = shop(layer, move |_| async move { status });
        pay("k").send(&app).await;
        pay("k").send(&app).await;
        assert_eq!(runs.get(), expected, "{status}");
    }
}
