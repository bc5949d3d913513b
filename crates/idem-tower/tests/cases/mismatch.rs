//! Another request under a known key (G4), and what makes a request another one.

use std::sync::Arc;

use crate::support::{
    App, Call, call, layer, memory,
    outage::cuttable,
    pay, record,
    shop::{Runs, created, payments, shop},
};
use http::{HeaderName, Method, StatusCode};
use idem_core::{Idempotency, OnOutage, Policy};
use idem_http::{CanonicalForm, CanonicalJson, FingerprintRules, Profile};
use tokio::sync::Semaphore;

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

#[tokio::test]
async fn headers_can_count_and_parts_can_be_left_out() {
    let rules = FingerprintRules::new()
        .header(HeaderName::from_static("api-version"))
        .unwrap()
        .without_query();
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
    let json = CanonicalJson::default().ignoring("/sent_at").unwrap();
    let rules = FingerprintRules::new().json(json);
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

#[tokio::test]
async fn g4_a_form_is_a_repeat_in_every_spelling_and_another_form_is_not() {
    let rules = FingerprintRules::new().form(CanonicalForm::default());
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().fingerprint(rules)));
    let send = |body: &'static str| {
        call(Method::POST, "/payments")
            .header("idempotency-key", "k")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let first = send("amount=500&for=two+beans").send(&app).await;
    let respelled = send("amount=500&for=two%20beans").send(&app).await;
    respelled.assert_replays(&first);
    let other = send("amount=200&for=two+beans").send(&app).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    let broken = send("amount=100%").send(&app).await;
    assert_eq!(broken.code(), "body-not-canonical");
    assert_eq!(runs.get(), 1);
}

/// An engine and its layer after a deploy that stopped to count the query.
fn after_a_change_of_rules(idem: &Idempotency, accepting: bool) -> (App, Runs) {
    let new = FingerprintRules::new().without_query();
    let rules = match accepting {
        true => new.accepting(FingerprintRules::new()),
        false => new,
    };
    payments(layer(idem).profile(Profile::default().fingerprint(rules)))
}

#[tokio::test]
async fn g4_a_repeat_after_a_change_of_rules_replays_where_the_former_rules_are_accepted() {
    let idem = memory();
    let (before, _) = payments(layer(&idem));
    let pay = || json(Method::POST, "/payments?a").header("idempotency-key", "k");
    let first = pay().send(&before).await;

    let (strict, strict_runs) = after_a_change_of_rules(&idem, false);
    assert_eq!(pay().send(&strict).await.code(), "fingerprint-mismatch");

    let (accepting, runs) = after_a_change_of_rules(&idem, true);
    pay().send(&accepting).await.assert_replays(&first);
    let other = pay().body("{}").send(&accepting).await;
    assert_eq!(other.code(), "fingerprint-mismatch");
    let other_query = json(Method::POST, "/payments?b").header("idempotency-key", "k");
    assert_eq!(
        other_query.send(&accepting).await.code(),
        "fingerprint-mismatch"
    );
    assert_eq!((strict_runs.get(), runs.get()), (0, 0));
}

/// Derived keys hang on the stored fingerprint, so the one who takes over keeps it.
#[tokio::test]
async fn g4_a_take_over_after_a_change_of_rules_keeps_the_stored_fingerprint() {
    let idem = memory();
    let send = |app: App| async move {
        let pay = json(Method::POST, "/payments?a").header("idempotency-key", "k");
        pay.send(&app).await
    };
    let (before, _) = shop(layer(&idem), |_| async { StatusCode::TOO_MANY_REQUESTS });
    assert_eq!(send(before).await.status, 429);
    let stored = record(&idem, "k").await.unwrap().fingerprint;

    let (accepting, runs) = after_a_change_of_rules(&idem, true);
    let first = send(accepting.clone()).await;
    assert_eq!(first.status, 201);
    assert_eq!(record(&idem, "k").await.unwrap().fingerprint, stored);
    send(accepting).await.assert_replays(&first);
    assert_eq!(runs.get(), 1);
}

/// A key that has a record belongs to a repeat or to a mismatch. Neither may run, although the policy
/// lets requests run unprotected while the store is out of reach.
#[tokio::test]
async fn g1_an_outage_between_the_claims_by_two_sets_of_rules_runs_nothing() {
    let (idem, cable) = cuttable(Policy::default().on_outage(OnOutage::FailOpen));
    let (before, _) = payments(layer(&idem));
    let pay = || json(Method::POST, "/payments?a").header("idempotency-key", "k");
    pay().send(&before).await;

    let (accepting, runs) = after_a_change_of_rules(&idem, true);
    cable.cut_after(1);
    assert_eq!(pay().send(&accepting).await.code(), "store-unavailable");
    assert_eq!(runs.get(), 0);
}
