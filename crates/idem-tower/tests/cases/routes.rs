//! Routes under one layer that differ in their policy and their profile.

use std::num::NonZeroU32;

use axum::response::IntoResponse;
use http::{Method, StatusCode};
use idem_core::Policy;
use idem_http::{Profile, driver::RouteKnobs};

use crate::support::{call, layer_per_path, memory, pay, serving_with, shop::shop};

#[tokio::test]
async fn a_route_has_a_policy_and_a_profile_of_its_own() {
    let idem = memory();
    let once = Policy::default().max_attempts(NonZeroU32::MIN);
    let payouts = RouteKnobs::new()
        .engine(idem.with_policy(once).unwrap())
        .profile(Profile::ietf());
    let layer = layer_per_path(&idem, move |path| {
        (path == "/payouts").then(|| payouts.clone())
    });
    let (app, runs) = shop(layer, |_| async { StatusCode::TOO_MANY_REQUESTS });
    let payout = |body: &'static str| {
        let call = call(Method::POST, "/payouts").header("idempotency-key", "\"p\"");
        call.body(body)
    };

    for run in 1..3 {
        assert_eq!(pay("k").send(&app).await.status, 429);
        assert_eq!(runs.get(), run);
    }
    assert_eq!(payout("5").send(&app).await.status, 429);
    assert_eq!(payout("5").send(&app).await.code(), "attempts-exhausted");
    assert_eq!(runs.get(), 3);

    assert_eq!(pay("k").body("{}").send(&app).await.status, 409);
    assert_eq!(payout("6").send(&app).await.status, 422);
    let bare = call(Method::POST, "/payouts").header("idempotency-key", "bare");
    assert_eq!(bare.send(&app).await.code(), "key-malformed");
}

#[tokio::test]
async fn the_knobs_in_a_requests_extensions_come_first() {
    let optional = RouteKnobs::new().profile(Profile::seed().optional());
    let put = RouteKnobs::new().profile(Profile::seed().methods([Method::PUT]));
    let layer = layer_per_path(&memory(), move |_| Some(put.clone()));
    let app = serving_with(optional, layer, || async { StatusCode::OK.into_response() });
    // Protected, as the extensions say, and without a key, as they say, too.
    let without = call(Method::POST, "/").send(&app).await;
    assert_eq!(without.status, 200);
    let first = pay("k").send(&app).await;
    pay("k").send(&app).await.assert_replays(&first);
}

/// The request says that its key is optional; the route's limit of attempts stays in force.
#[tokio::test]
async fn each_knob_that_a_request_does_not_bring_is_the_routes() {
    let idem = memory();
    let once = Policy::default().max_attempts(NonZeroU32::MIN);
    let once = RouteKnobs::new().engine(idem.with_policy(once).unwrap());
    let optional = RouteKnobs::new().profile(Profile::seed().optional());
    let layer = layer_per_path(&idem, move |_| Some(once.clone()));
    let app = serving_with(optional, layer, || async {
        StatusCode::TOO_MANY_REQUESTS.into_response()
    });
    assert_eq!(call(Method::POST, "/").send(&app).await.status, 429);
    assert_eq!(pay("k").send(&app).await.status, 429);
    assert_eq!(pay("k").send(&app).await.code(), "attempts-exhausted");
}
