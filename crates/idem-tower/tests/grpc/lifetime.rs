//! Clients that give up, and large messages.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use idem_tower::Profile;
use tokio::sync::oneshot;
use tonic::{Code, Response};

use crate::{
    client::{Client, SHORT, is_replay, keyed},
    shop::{Shop, engine, layer, memory, paid},
};

/// A payment that goes on until it is told to end.
fn slow() -> (Shop, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (begun, begins) = oneshot::channel();
    let (finish, finished) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((begun, finished))));
    let shop = Shop::new().pay(move |_, run| {
        let (begun, finished) = once.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).unwrap();
            finished.await.unwrap();
            Ok(Response::new(paid(format!("run {run}"))))
        }
    });
    (shop, begins, finish)
}

#[tokio::test]
async fn a_deadline_that_passes_cancels_nothing_and_the_repeat_gets_the_answer() {
    let idem = memory();
    let (shop, begins, finish) = slow();
    let client = shop.serve(layer(&idem)).await;
    let mut call = keyed("k", 1);
    call.set_timeout(Duration::from_millis(200));
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.pay(call).await.unwrap_err() }
    });
    begins.await.unwrap();
    let status = first.await.unwrap();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    finish.send(()).unwrap();
    idem.wait_idle().await;
    let again = client.pay(keyed("k", 1)).await.unwrap();
    assert!(is_replay(again.metadata()));
    assert_eq!(again.get_ref(), &paid("run 1"));
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_client_that_cancels_or_hangs_up_cancels_nothing() {
    let idem = memory();
    let (shop, begins, finish) = slow();
    let client = shop.serve(layer(&idem)).await;
    let other = Client(client.0.clone());
    let first = tokio::spawn(async move { other.pay(keyed("k", 1)).await });
    begins.await.unwrap();
    first.abort();
    assert!(first.await.is_err());
    finish.send(()).unwrap();
    // The server learns of it when it is told; by then the run may have had its end.
    let again = loop {
        match client.pay(keyed("k", 1)).await {
            Ok(answer) => break answer,
            Err(status) => assert_eq!(crate::client::problem(&status).1, "in-flight"),
        }
        idem.wait_idle().await;
    };
    assert!(is_replay(again.metadata()));
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn messages_of_three_megabytes_go_both_ways_and_are_replayed() {
    let shop = Shop::new().pay(async |call: tonic::Request<crate::shop::Pay>, _| {
        Ok(Response::new(paid(call.into_inner().account)))
    });
    let client = shop.serve(layer(&memory())).await;
    let large = || {
        let mut call = keyed("k", 1);
        call.get_mut().account = "0123456789".repeat(300_000);
        call
    };
    for replayed in [false, true] {
        let answer = client.pay(large()).await.unwrap();
        assert!(answer.get_ref().receipt == large().get_ref().account);
        assert_eq!(is_replay(answer.metadata()), replayed);
    }
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_run_that_lasts_too_long_is_internal_and_final() {
    let (shop, _begins, _finish) = slow();
    let profile = Profile::grpc().longest_run(Some(Duration::from_millis(50)));
    let idem = engine(idem_core::Policy::default());
    let client = shop.serve(layer(&idem).profile(profile)).await;
    for _ in 0..2 {
        let status = client.pay(keyed("k", 1)).await.unwrap_err();
        let told = crate::client::entry(status.metadata(), "idempotency-problem");
        assert_eq!(
            (status.code(), told),
            (Code::Internal, Some("handler-failed"))
        );
    }
    assert_eq!(shop.runs(), 1);
}

/// The server learns of a client that is gone when it is told: so each call leaves, until one is refused.
#[tokio::test]
async fn past_the_most_executions_without_a_client_nothing_runs() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = Arc::clone(&gate);
    let shop = Shop::new().pay(move |_, run| {
        let gate = Arc::clone(&held);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(Response::new(paid(format!("run {run}"))))
        }
    });
    let idem = memory();
    let profile = Profile::grpc().abandoned_limit(1);
    let client = shop.serve(layer(&idem).profile(profile)).await;
    let mut calls = 0;
    let refused = loop {
        calls += 1;
        let call = client.pay(keyed(&format!("k{calls}"), 1));
        if let Ok(answer) = tokio::time::timeout(SHORT, call).await {
            break answer.unwrap_err();
        }
    };
    let told = crate::client::problem(&refused);
    assert_eq!(told, (Code::Unavailable, "overloaded"));
    let ran = shop.runs();
    assert!(ran < calls, "{ran} of {calls}");
    gate.add_permits(calls);
    idem.wait_idle().await;
    client.pay(keyed(&format!("k{calls}"), 1)).await.unwrap();
}
