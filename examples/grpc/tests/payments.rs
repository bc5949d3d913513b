//! The example, called as its clients call it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use grpc_payments::{
    payments::Payments,
    serve,
    wire::{PayRequest, pay},
};
use idem::{Idempotency, memory::MemoryStore};
use tokio::net::TcpListener;
use tonic::{Code, Request, transport::Channel};

fn call(key: &'static str, cents: u64) -> Request<PayRequest> {
    let mut call = Request::new(PayRequest {
        account: "DE02".to_owned(),
        cents,
    });
    let metadata = call.metadata_mut();
    metadata.insert("authorization", "Bearer m".parse().unwrap());
    metadata.insert("idempotency-key", key.parse().unwrap());
    call
}

#[tokio::test]
async fn a_payment_that_is_sent_twice_is_made_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let payments = Payments::default();
    let idem = Idempotency::new(MemoryStore::new());
    tokio::spawn(serve(listener.into(), idem, payments.clone()));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();

    let first = pay(&channel, call("k", 500)).await.unwrap();
    let again = pay(&channel, call("k", 500)).await.unwrap();
    assert_eq!(again.get_ref(), first.get_ref());
    assert_eq!(again.metadata().get("idempotent-replayed").unwrap(), "true");
    let other = pay(&channel, call("k", 700)).await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    assert_eq!(payments.count(), 1);

    // A call that was refused before anything happened can be corrected under its key.
    let refused = pay(&channel, call("corrected", 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    pay(&channel, call("corrected", 1)).await.unwrap();
    assert_eq!(payments.count(), 2);
}
