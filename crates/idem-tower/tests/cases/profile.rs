//! The presets and their knobs.

use crate::support::{
    Answer, App, call, layer, layer_by, memory, pay,
    shop::{Runs, payments, shop},
};
use http::{HeaderName, Method, StatusCode};
use idem_core::Scope;
use idem_http::{ErrorFormat, Profile};

/// The statuses of: no key, a bare key, a mismatch.
async fn statuses(profile: Profile) -> [u16; 3] {
    let (app, _) = payments(layer(&memory()).profile(profile));
    let none = call(Method::POST, "/payments").send(&app).await;
    let bare = pay("bare").send(&app).await;
    pay("\"k\"").send(&app).await;
    let mismatch = pay("\"k\"").body("{}").send(&app).await;
    [
        none.status.as_u16(),
        bare.status.as_u16(),
        mismatch.status.as_u16(),
    ]
}

#[tokio::test]
async fn the_seed_profile() {
    assert_eq!(statuses(Profile::seed()).await, [400, 201, 409]);
}

#[tokio::test]
async fn the_ietf_profile() {
    assert_eq!(statuses(Profile::ietf()).await, [400, 400, 422]);
}

#[tokio::test]
async fn the_stripe_profile() {
    assert_eq!(statuses(Profile::stripe()).await, [201, 201, 400]);
}

#[tokio::test]
async fn a_knob_can_be_set_on_top_of_a_preset() {
    let layer = layer(&memory()).profile(Profile::ietf().optional());
    let (app, runs) = payments(layer);
    assert_eq!(call(Method::POST, "/").send(&app).await.status, 201);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn the_type_base_the_page_and_the_names_of_headers_are_knobs() {
    let errors = ErrorFormat::problem_json()
        .type_base("https://errors.example/")
        .and_then(|errors| errors.described_by("https://docs.example/keys"))
        .unwrap();
    let profile = Profile::default()
        .errors(errors)
        .response_limit(1)
        .omitted(HeaderName::from_static("x-body"));
    let (app, _) = payments(layer(&memory()).profile(profile));
    let missing = call(Method::POST, "/payments").send(&app).await;
    let problem: serde_json::Value = serde_json::from_slice(&missing.body).unwrap();
    assert_eq!(problem["type"], "https://errors.example/key-missing");
    let link = missing.header("link");
    assert_eq!(
        link,
        Some("<https://docs.example/keys>; rel=\"describedby\"")
    );
    pay("k").send(&app).await;
    let replay = pay("k").send(&app).await;
    assert_eq!(replay.header("x-body"), Some("omitted"));
    assert_eq!(replay.header("idempotent-replay-body"), None);
}

/// A shop in Stripe's profile where every run answers with this status.
fn stripe(status: StatusCode) -> (App, Runs) {
    let layer = layer(&memory()).profile(Profile::stripe());
    shop(layer, move |_| async move { status })
}

fn error(answer: &Answer) -> serde_json::Value {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["error"].clone()
}

/// Five charges under one key: a handler's 401 to 503 let the next request run.
#[tokio::test]
async fn g1_stripe_stores_whatever_a_handler_answers() {
    for status in [200, 400, 401, 402, 403, 408, 409, 425, 429, 500, 503] {
        let (app, runs) = stripe(StatusCode::from_u16(status).unwrap());
        let first = pay("k").send(&app).await;
        pay("k").send(&app).await.assert_replays(&first);
        assert_eq!((first.status.as_u16(), runs.get()), (status, 1));
    }
}

#[tokio::test]
async fn stripe_names_each_request_and_the_one_that_was_stored() {
    let (app, _) = stripe(StatusCode::OK);
    let first = pay("k").send(&app).await;
    let id = first.header("request-id").unwrap();
    assert!(id.starts_with("req_"), "{id}");
    assert_eq!(first.header("original-request"), Some(id));
    assert_eq!(first.header("stripe-should-retry"), Some("false"));
    let replay = pay("k").send(&app).await;
    assert_eq!(replay.header("original-request"), Some(id));
    assert_ne!(replay.header("request-id"), Some(id));
    assert_eq!(replay.header("stripe-should-retry"), Some("false"));
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn stripe_tells_problems_in_its_own_form() {
    let (app, _) = stripe(StatusCode::OK);
    pay("k").send(&app).await;
    let mismatch = pay("k").body("{}").send(&app).await;
    assert_eq!(mismatch.status, 400);
    assert_eq!(error(&mismatch)["type"], "idempotency_error");
    assert!(mismatch.header("request-id").is_some());
    assert_eq!(mismatch.header("stripe-should-retry"), Some("false"));
    let malformed = pay("a\"").send(&app).await;
    assert_eq!(error(&malformed)["type"], "invalid_request_error");
}

#[tokio::test]
async fn stripe_replays_a_panic_as_an_api_error_that_names_its_request() {
    let layer = layer(&memory()).profile(Profile::stripe());
    let (app, runs) = shop(layer, |_| async { panic!("a bug") as StatusCode });
    let first = pay("k").send(&app).await;
    assert_eq!(
        (first.status.as_u16(), &error(&first)["type"]),
        (500, &"api_error".into())
    );
    assert_eq!(first.header("stripe-should-retry"), Some("false"));
    let replay = pay("k").send(&app).await;
    replay.assert_replays(&first);
    assert_eq!(
        replay.header("original-request"),
        first.header("request-id")
    );
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn stripe_tells_a_refused_scope_in_its_own_form() {
    let layer = layer_by(memory(), |_| Ok(Scope::new("")?));
    let (app, runs) = payments(layer.profile(Profile::stripe()));
    let refused = pay("k").send(&app).await;
    assert_eq!(error(&refused)["code"], "scope-refused");
    assert_eq!(runs.get(), 0);
}
