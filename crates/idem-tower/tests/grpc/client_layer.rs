//! The client's half as a tower layer around a tonic channel.

use std::time::Duration;

use idem_core::IdempotencyKey;
use idem_http::client::{GaveUp, Intent, IntentError, IntentLayer, RetryRules, StopReason};
use tonic::{Code, Request, Response, Status, body::Body, transport::Channel};
use tower::ServiceBuilder;

use crate::{
    client::{codec, is_replay, pay, problem},
    outage::cuttable,
    shop::{Paid, Pay, Shop, layer, memory, paid},
};

fn rules() -> RetryRules {
    let rules = RetryRules::default().first_pause(Duration::from_millis(2));
    rules.most_sendings(3)
}

async fn call(channel: Channel, call: Request<Pay>) -> Result<Response<Paid>, Status> {
    let channel = ServiceBuilder::new()
        .layer(IntentLayer::new(rules()))
        .map_request(|call: http::Request<_>| call.map(Body::new))
        .service(channel);
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = "/shop.Payments/Pay".parse().unwrap();
    grpc.unary(call, path, codec()).await
}

fn intended(cents: u64) -> Request<Pay> {
    let mut call = pay(cents);
    call.extensions_mut().insert(Intent::new(rules()));
    call
}

/// A handler's own `UNAVAILABLE` is stored: the second sending gets it as a replay, and that is the
/// outcome.
#[tokio::test]
async fn trouble_is_sent_again_until_there_is_an_outcome() {
    let shop = Shop::new().pay(async |_, run| match run {
        1 => Err(Status::resource_exhausted("later")),
        _ => Ok(Response::new(paid(format!("run {run}")))),
    });
    let channel = shop.serve(layer(&memory())).await.0;
    let answer = call(channel, intended(5)).await.unwrap();
    assert_eq!((answer.get_ref(), shop.runs()), (&paid("run 2"), 2));
    assert!(answer.extensions().get::<IdempotencyKey>().is_some());

    let shop = Shop::new().pay(async |_, _| Err(Status::unavailable("the bank is away")));
    let channel = shop.serve(layer(&memory())).await.0;
    let status = call(channel, intended(5)).await.unwrap_err();
    assert_eq!((status.code(), shop.runs()), (Code::Unavailable, 1));
    assert!(is_replay(status.metadata()));
}

#[tokio::test]
async fn a_call_without_an_intent_goes_out_as_it_is() {
    let shop = Shop::new();
    let channel = shop.serve(layer(&memory())).await.0;
    let status = call(channel, pay(5)).await.unwrap_err();
    assert_eq!(problem(&status), (Code::InvalidArgument, "key-missing"));
    assert_eq!(shop.runs(), 0);
}

#[tokio::test]
async fn giving_up_says_whether_it_may_have_run() {
    let (idem, cable) = cuttable(idem_core::Policy::default());
    let shop = Shop::new();
    let channel = shop.serve(layer(&idem)).await.0;
    cable.cut();
    let mut once = pay(5);
    let intent = Intent::new(rules().most_sendings(1));
    once.extensions_mut().insert(intent);
    let status = call(channel, once).await.unwrap_err();
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!(IntentError::of(&status).unwrap().gave_up(), nothing);
    assert_eq!(shop.runs(), 0);
}
