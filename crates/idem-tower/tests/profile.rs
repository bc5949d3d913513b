//! The presets, and problems in a route's own words.

mod support;

use bytes::Bytes;
use http::{Method, Response};
use idem_http::Profile;
use support::{call, layer, memory, pay, shop::payments};

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
