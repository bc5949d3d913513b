//! Refusals of idem's own, as the client sees them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::Full;
use idem_core::{Claim, IdempotencyKey, OnAbandoned, OnBusy, OnOutage, Policy, Scope};
use idem_tower::{KeyRule, Profile};
use tokio::{runtime::Runtime, sync::oneshot};
use tonic::{Code, Request, Response, body::Body};
use tower::Service as _;

use crate::{
    client::{Client, entry, is_replay, keyed, pay, problem},
    outage::cuttable,
    shop::{Shop, engine, layer, memory, paid},
};

#[tokio::test]
async fn g4_another_message_or_method_under_a_key_is_failed_precondition() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let first = client.pay(keyed("k", 500)).await.unwrap();
    let message = client.pay(keyed("k", 501)).await.unwrap_err();
    let method = client.unary("/shop.Payments/Look", keyed("k", 500));
    let method = method.await.unwrap_err();
    for status in [message, method] {
        let told = problem(&status);
        assert_eq!(told, (Code::FailedPrecondition, "fingerprint-mismatch"));
    }
    let again = client.pay(keyed("k", 500)).await.unwrap();
    assert_eq!(again.get_ref(), first.get_ref());
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn in_flight_is_aborted_and_says_when_to_come_back() {
    let (begun, begins) = oneshot::channel();
    let (finish, finished) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((begun, finished))));
    let shop = Shop::new().pay(move |_, _| {
        let (begun, finished) = once.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).unwrap();
            finished.await.unwrap();
            Ok(Response::new(paid("done")))
        }
    });
    let client = shop.serve(layer(&memory())).await;
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.pay(keyed("k", 1)).await }
    });
    begins.await.unwrap();
    let busy = client.pay(keyed("k", 1)).await.unwrap_err();
    assert_eq!(problem(&busy), (Code::Aborted, "in-flight"));
    assert_eq!(
        entry(busy.metadata(), "grpc-retry-pushback-ms"),
        Some("1000")
    );
    assert_eq!(
        entry(busy.metadata(), "idempotency-disposition"),
        Some("retryable")
    );
    let other = client.pay(keyed("k", 2)).await.unwrap_err();
    assert_eq!(problem(&other).1, "fingerprint-mismatch");
    finish.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().get_ref(), &paid("done"));
    let again = client.pay(keyed("k", 1)).await.unwrap();
    assert!(is_replay(again.metadata()));
}

#[tokio::test]
async fn g6_a_store_out_of_reach_is_unavailable_and_nothing_ran() {
    let (idem, cable) = cuttable(Policy::default());
    let shop = Shop::new();
    let client = shop.serve(layer(&idem)).await;
    cable.cut();
    let status = client.pay(keyed("k", 1)).await.unwrap_err();
    assert_eq!(problem(&status), (Code::Unavailable, "store-unavailable"));
    assert!(status.message().contains("did not run"), "{status:?}");
    assert_eq!(
        entry(status.metadata(), "grpc-retry-pushback-ms"),
        Some("1000")
    );
    assert_eq!(shop.runs(), 0);
    cable.mend();
    assert!(!is_replay(
        client.pay(keyed("k", 1)).await.unwrap().metadata()
    ));
}

#[tokio::test]
async fn a_service_that_fails_open_says_that_its_answer_is_not_protected() {
    let (idem, cable) = cuttable(Policy::default().on_outage(OnOutage::FailOpen));
    let shop = Shop::new();
    let client = shop.serve(layer(&idem)).await;
    cable.cut();
    let answer = client.pay(keyed("k", 1)).await.unwrap();
    assert_eq!(
        entry(answer.metadata(), "idempotency-degraded"),
        Some("true")
    );
}

/// A first attempt on a runtime of its own, dropped half-way: what a crash leaves.
#[test]
fn g8_an_outcome_that_nobody_knows_is_failed_precondition_and_nothing_runs() {
    let (begun, begins) = oneshot::channel();
    let begun = Arc::new(Mutex::new(Some(begun)));
    let shop = Shop::new().pay(move |_, _| {
        let begun = begun.lock().unwrap().take();
        async move {
            begun.unwrap().send(()).unwrap();
            std::future::pending().await
        }
    });
    let policy = Policy::default()
        .lease(Duration::from_millis(30))
        .on_busy(OnBusy::Wait(Duration::from_secs(600)))
        .on_abandoned(OnAbandoned::Halt);
    let idem = engine(policy);
    let crashing = Runtime::new().unwrap();
    let (served, idem_there) = (shop.clone(), idem.clone());
    crashing.spawn(async move {
        let client = served.serve(layer(&idem_there)).await;
        client.pay(keyed("k", 1)).await
    });
    crashing.block_on(begins).unwrap();
    crashing.shutdown_timeout(Duration::from_secs(60));
    let status = Runtime::new().unwrap().block_on(async {
        let client = shop.serve(layer(&idem)).await;
        client.pay(keyed("k", 1)).await.unwrap_err()
    });
    assert_eq!(
        problem(&status),
        (Code::FailedPrecondition, "outcome-unknown")
    );
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn past_the_most_attempts_nothing_runs() {
    let shop = Shop::failing(Code::ResourceExhausted);
    let policy = Policy::default().max_attempts(1.try_into().unwrap());
    let client = shop.serve(layer(&engine(policy))).await;
    client.pay(keyed("k", 1)).await.unwrap_err();
    let status = client.pay(keyed("k", 1)).await.unwrap_err();
    assert_eq!(
        problem(&status),
        (Code::FailedPrecondition, "attempts-exhausted")
    );
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_call_of_nobody_is_unauthenticated_and_two_callers_share_nothing() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let mut nobody = keyed("k", 1);
    nobody.metadata_mut().remove("authorization");
    let status = client.pay(nobody).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "Unauthorized")
    );
    assert_eq!(shop.runs(), 0);
    client.pay(keyed("k", 1)).await.unwrap();
    let mut other = keyed("k", 2);
    let name = "other".parse().unwrap();
    other.metadata_mut().insert("authorization", name);
    assert!(!is_replay(client.pay(other).await.unwrap().metadata()));
    assert_eq!(shop.runs(), 2);
}

async fn with_rules(shop: &Shop, profile: Profile) -> Client {
    shop.serve(layer(&memory()).profile(profile)).await
}

#[tokio::test]
async fn each_method_says_whether_it_takes_a_key() {
    let profile = Profile::grpc()
        .grpc_method("/shop.Payments/Look", KeyRule::Ignored)
        .grpc_method("/shop.Payments/Watch", KeyRule::Optional);
    let shop = Shop::new();
    let client = with_rules(&shop, profile).await;

    let missing = client.pay(pay(1)).await.unwrap_err();
    assert_eq!(problem(&missing), (Code::InvalidArgument, "key-missing"));
    assert_eq!(shop.runs(), 0);

    for run in 1..3 {
        let look = client.unary("/shop.Payments/Look", keyed("k", 1)).await;
        assert_eq!(
            look.unwrap().get_ref(),
            &paid(format!("receipt {run} over 1"))
        );
    }
    for run in 3..5 {
        let (receipts, ..) = client.watch_all(pay(1)).await;
        assert_eq!(receipts, [format!("run {run}, part 0")]);
    }
    for _ in 0..2 {
        let (receipts, ..) = client.watch_all(keyed("w", 1)).await;
        assert_eq!(receipts, ["run 5, part 0"]);
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_resource_exhausted_and_does_not_run() {
    let shop = Shop::new();
    let client = with_rules(&shop, Profile::grpc().request_limit(100)).await;
    let mut call: Request<_> = keyed("k", 1);
    call.get_mut().account = "x".repeat(1000);
    let status = client.pay(call).await.unwrap_err();
    assert_eq!(
        problem(&status),
        (Code::ResourceExhausted, "body-too-large")
    );
    assert_eq!(shop.runs(), 0);
    client.pay(keyed("k", 1)).await.unwrap();
}

/// The message says that it is compressed, and is not.
#[tokio::test]
async fn a_message_that_is_not_what_it_says_is_invalid_argument_and_does_not_run() {
    let shop = Shop::new();
    let mut client = shop.serve(layer(&memory())).await;
    let call = http::Request::post("http://shop/shop.Payments/Pay")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "gzip")
        .header("authorization", "m")
        .header("idempotency-key", "k")
        .body(Body::new(Full::from(&b"\x01\0\0\0\x02no"[..])));
    std::future::poll_fn(|cx| client.0.poll_ready(cx))
        .await
        .unwrap();
    let answer = client.0.call(call.unwrap()).await.unwrap();
    let status = tonic::Status::from_header_map(answer.headers()).unwrap();
    let told = problem(&status);
    assert_eq!(told, (Code::InvalidArgument, "body-not-canonical"));
    assert_eq!(shop.runs(), 0);
}

#[tokio::test]
async fn a_caller_whose_name_is_not_a_scope_is_invalid_argument() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let mut call = keyed("k", 1);
    let long = "m".repeat(2000).parse().unwrap();
    call.metadata_mut().insert("authorization", long);
    let status = client.pay(call).await.unwrap_err();
    assert_eq!(problem(&status), (Code::InvalidArgument, "scope-refused"));
    assert_eq!(shop.runs(), 0);
}

#[tokio::test]
async fn s9_a_store_that_is_set_up_wrong_is_internal_and_not_to_be_tried_again() {
    let (idem, cable) = cuttable(Policy::default());
    let shop = Shop::new();
    let client = shop.serve(layer(&idem)).await;
    cable.misconfigure();
    let status = client.pay(keyed("k", 1)).await.unwrap_err();
    assert_eq!(problem(&status), (Code::Internal, "misconfigured"));
    assert_eq!(shop.runs(), 0);
}

/// Something that is no gRPC service has used the key for the same call.
#[tokio::test]
async fn a_record_that_cannot_be_read_is_internal_and_does_not_run() {
    let idem = memory();
    let shop = Shop::new();
    let client = shop.serve(layer(&idem)).await;
    client.pay(keyed("k", 1)).await.unwrap();
    let merchant = Scope::new("m").unwrap();
    let key = |text| merchant.key(&IdempotencyKey::new(text).unwrap());
    let stored = idem.lookup(&key("k")).await.unwrap().unwrap();
    let print = stored.record.fingerprint;
    let Claim::Acquired(execution) = idem.claim(&key("other"), &print).await.unwrap() else {
        panic!("it is vacant");
    };
    execution.complete("no stored response").await.unwrap();
    let status = client.pay(keyed("other", 1)).await.unwrap_err();
    assert_eq!(problem(&status), (Code::Internal, "record-unreadable"));
    assert_eq!(shop.runs(), 1);
}

/// A method is a route: its path finds its policy and its profile.
#[tokio::test]
async fn a_method_has_a_policy_and_a_profile_of_its_own() {
    use idem_tower::{Disposition, GrpcCode, RouteKnobs};

    let idem = memory();
    let once = Policy::default().max_attempts(std::num::NonZeroU32::MIN);
    let profile = Profile::grpc().grpc_status(GrpcCode::Unavailable, Disposition::Retryable);
    let look = RouteKnobs::new()
        .engine(idem.with_policy(once).unwrap())
        .profile(profile);
    let layer = layer(&idem)
        .per_route(move |parts| (parts.uri.path() == "/shop.Payments/Look").then(|| look.clone()));
    let shop = Shop::new().pay(async |_, _| Err(tonic::Status::unavailable("away")));
    let client = shop.serve(layer).await;

    client.pay(keyed("k", 1)).await.unwrap_err();
    let replay = client.pay(keyed("k", 1)).await.unwrap_err();
    assert!(is_replay(replay.metadata()));
    let look = async || client.unary("/shop.Payments/Look", keyed("l", 1)).await;
    assert_eq!(look().await.unwrap_err().code(), Code::Unavailable);
    let spent = look().await.unwrap_err();
    let told = problem(&spent);
    assert_eq!(told, (Code::FailedPrecondition, "attempts-exhausted"));
    assert_eq!(shop.runs(), 2);
}
