//! Whose key it is.

use crate::support::{
    call, global_layer, layer, layer_by, memory, pay, shop::payments, unauthorized,
};
use http::{Method, StatusCode};
use idem_core::Scope;
use idem_http::Profile;

#[tokio::test]
async fn two_principals_with_one_key_run_twice_and_see_nothing_of_each_other() {
    let (app, runs) = payments(layer(&memory()));
    let a = pay("k").header("merchant", "a").send(&app).await;
    let b = pay("k").header("merchant", "b").body("{}").send(&app).await;
    assert!(!a.replayed() && !b.replayed());
    assert_ne!(a.body, b.body);
    pay("k")
        .header("merchant", "a")
        .send(&app)
        .await
        .assert_replays(&a);
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn s8_principals_and_keys_that_join_alike_stay_apart() {
    let (app, runs) = payments(layer(&memory()));
    for (merchant, key) in [
        ("a:b", "c"),
        ("a", "b:c"),
        ("a/b", "c"),
        ("a%2Fb", "c"),
        ("a", ":b:c"),
    ] {
        let answer = pay(key).header("merchant", merchant).send(&app).await;
        assert!(!answer.replayed(), "{merchant} {key}");
    }
    assert_eq!(runs.get(), 5);
}

#[tokio::test]
async fn a_request_whose_caller_cannot_be_told_is_answered_by_the_extractor_and_does_not_run() {
    let layer = layer_by(memory(), |merchant| match merchant {
        Some(name) => Ok(Scope::new(name)?),
        None => Err(unauthorized()),
    });
    let (app, runs) = payments(layer);
    assert_eq!(pay("k").send(&app).await.status, StatusCode::UNAUTHORIZED);
    let no_name = pay("k").header("merchant", "").send(&app).await;
    assert_eq!(
        (no_name.status.as_u16(), no_name.code().as_str()),
        (400, "scope-refused")
    );
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn the_global_scope_has_to_be_asked_for_and_then_holds_for_all() {
    let layer = global_layer(memory());
    let (app, runs) = payments(layer);
    let first = pay("k").header("merchant", "a").send(&app).await;
    pay("k")
        .header("merchant", "b")
        .send(&app)
        .await
        .assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn the_extractor_is_not_asked_about_requests_that_are_not_protected() {
    let layer = layer_by(memory(), |_| Err(unauthorized())).profile(Profile::default().optional());
    let (app, runs) = payments(layer);
    assert_eq!(call(Method::GET, "/").send(&app).await.status, 201);
    assert_eq!(call(Method::POST, "/").send(&app).await.status, 201);
    assert_eq!(runs.get(), 2);
}
