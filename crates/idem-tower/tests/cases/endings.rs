//! Which answers are final, which let the next request run.

use crate::support::{
    engine, layer, memory, pay,
    shop::{created, shop},
};
use axum::{
    Extension,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use idem_core::{OnPanic, Policy, store::State};
use idem_http::{Disposition, Profile, StatusRules};

/// Sends one payment twice to a handler with this status: how often it ran.
async fn runs_of(status: StatusCode) -> usize {
    let (app, runs) = shop(layer(&memory()), move |run| async move {
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
async fn a_401_403_425_and_429_run_again_because_they_refuse_by_their_definition() {
    for status in [401, 403, 425, 429] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(runs_of(status).await, 2, "{status}");
    }
}

/// What is answered after the handler began proves nothing about its effect.
#[tokio::test]
async fn a_408_500_502_503_and_504_are_stored() {
    for status in [408, 500, 502, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(runs_of(status).await, 1, "{status}");
    }
}

#[tokio::test]
async fn the_wide_table_lets_a_408_and_a_503_run_again() {
    for status in [408, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        let profile = Profile::default().statuses(StatusRules::wide());
        let (app, runs) = shop(
            layer(&memory()).profile(profile),
            move |_| async move { status },
        );
        pay("k").send(&app).await;
        pay("k").send(&app).await;
        assert_eq!(runs.get(), 2, "{status}");
    }
}

/// An upgraded connection cannot be stored, so it is not.
#[tokio::test]
async fn an_upgrade_is_never_replayed() {
    let idem = memory();
    let (app, runs) = shop(layer(&idem), |_| async {
        (StatusCode::SWITCHING_PROTOCOLS, [("upgrade", "chat")])
    });
    for _ in 0..2 {
        let answer = pay("k").header("upgrade", "chat").send(&app).await;
        assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.header("upgrade"), Some("chat"));
        assert!(!answer.replayed());
    }
    assert_eq!(runs.get(), 2);
    let record = crate::support::record(&idem, "k").await.unwrap();
    assert_eq!(record.state, State::Released);
}

#[tokio::test]
async fn redirects_are_stored_with_their_location() {
    let (app, runs) = shop(layer(&memory()), |_| async {
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
    let (app, runs) = shop(layer(&memory()), |_| async {
        StatusCode::TOO_MANY_REQUESTS
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
    let (app, runs) = shop(layer(&memory()), panicking);
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
    let (app, runs) = shop(layer(&idem), panicking);
    assert_eq!(pay("k").send(&app).await.status, 500);
    assert_eq!(pay("k").send(&app).await.status, 201);
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn a_handler_can_say_otherwise_either_way() {
    let (app, runs) = shop(layer(&memory()), |_| async {
        (StatusCode::CONFLICT, Extension(Disposition::Retryable))
    });
    pay("k").send(&app).await;
    assert!(!pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 2);

    let (app, runs) = shop(layer(&memory()), |_| async {
        (StatusCode::TOO_MANY_REQUESTS, Extension(Disposition::Final))
    });
    let first = pay("k").send(&app).await;
    pay("k").send(&app).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

/// A wrong one-time password: the client sends another body under the same key.
#[tokio::test]
async fn g4_a_released_key_takes_a_corrected_body() {
    let by_handler = layer(&memory());
    let rules = StatusRules::default().released(StatusCode::UNPROCESSABLE_ENTITY);
    let by_route = layer(&memory()).profile(Profile::default().statuses(rules));
    for (layer, by_handler) in [(by_handler, true), (by_route, false)] {
        let (app, runs) = shop(layer, move |run| async move {
            let refused = StatusCode::UNPROCESSABLE_ENTITY;
            match (run, by_handler) {
                (1, true) => (refused, Extension(Disposition::Release)).into_response(),
                (1, false) => refused.into_response(),
                _ => created(run),
            }
        });
        assert_eq!(pay("k").send(&app).await.status, 422);
        let corrected = || pay("k").body(r#"{"amount":500,"code":"right"}"#);
        let paid = corrected().send(&app).await;
        assert_eq!(paid.status, 201);
        corrected().send(&app).await.assert_replays(&paid);
        let first = pay("k").send(&app).await;
        assert_eq!(first.code(), "fingerprint-mismatch");
        assert_eq!(runs.get(), 2);
    }
}

#[tokio::test]
async fn a_handler_can_ask_not_to_keep_its_body() {
    let (app, runs) = shop(layer(&memory()), |_| async {
        (
            StatusCode::CREATED,
            Extension(Disposition::FinalWithoutBody),
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
        let layer = layer(&memory()).profile(Profile::default().statuses(statuses.clone()));
        let (app, runs) = shop(layer, move |_| async move { status });
        pay("k").send(&app).await;
        pay("k").send(&app).await;
        assert_eq!(runs.get(), expected, "{status}");
    }
}
