//! First answers and their replays.

use tonic::Code;

use crate::{
    client::{entry, is_replay, keyed},
    shop::{Shop, layer, memory, paid},
};

#[tokio::test]
async fn g2_a_replay_has_the_message_the_metadata_and_the_trailers_of_the_first_answer() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let first = client.pay(keyed("k", 500)).await.unwrap();
    assert_eq!(first.get_ref(), &paid("receipt 1 over 500"));
    assert!(!is_replay(first.metadata()));
    for _ in 0..2 {
        let again = client.pay(keyed("k", 500)).await.unwrap();
        assert_eq!(again.get_ref(), first.get_ref());
        assert!(is_replay(again.metadata()));
        let mut expected = first.metadata().clone().into_headers();
        let mut metadata = again.metadata().clone().into_headers();
        metadata.remove("idempotent-replayed");
        // The server's own.
        expected.remove("date");
        metadata.remove("date");
        assert_eq!(metadata, expected);
        assert_eq!(entry(again.metadata(), "shop-note"), Some("thanks"));
        assert_eq!(entry(again.metadata(), "grpc-status"), Some("0"));
    }
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn g2_an_error_is_replayed_with_its_code_message_and_details() {
    let shop = Shop::new().pay(async |_, run| {
        let details = vec![0, 255, 7].into();
        let mut metadata = tonic::metadata::MetadataMap::new();
        metadata.insert("shop-note", "no".parse().unwrap());
        Err(tonic::Status::with_details_and_metadata(
            Code::FailedPrecondition,
            format!("run {run}: 50 % of π"),
            details,
            metadata,
        ))
    });
    let client = shop.serve(layer(&memory())).await;
    let first = client.pay(keyed("k", 500)).await.unwrap_err();
    let again = client.pay(keyed("k", 500)).await.unwrap_err();
    for status in [&first, &again] {
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "run 1: 50 % of π");
        assert_eq!(status.details(), [0, 255, 7]);
        assert_eq!(entry(status.metadata(), "shop-note"), Some("no"));
        assert_eq!(entry(status.metadata(), "idempotency-problem"), None);
    }
    assert!(!is_replay(first.metadata()) && is_replay(again.metadata()));
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_single_service_can_be_protected_by_itself() {
    use tonic::service::LayerExt;
    use tonic::transport::Server;

    let shop = Shop::new();
    let layer = idem_tower::IdempotencyLayer::grpc(memory(), |_| Ok(idem_core::Scope::global()));
    let protected = layer.named_layer(shop.clone());
    let (incoming, address) = crate::shop::listen().await;
    let server = Server::builder().add_service(protected);
    tokio::spawn(server.serve_with_incoming(incoming));
    let client = crate::client::Client::connect(address).await;
    let first = client.pay(keyed("k", 1)).await.unwrap();
    let again = client.pay(keyed("k", 1)).await.unwrap();
    assert_eq!(again.get_ref(), first.get_ref());
    assert!(is_replay(again.metadata()));
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn g1_of_many_calls_at_once_one_runs_and_all_get_its_answer() {
    use idem_core::{OnBusy, Policy};

    let shop = Shop::new().pay(async |_, run| {
        tokio::time::sleep(crate::client::SHORT).await;
        Ok(tonic::Response::new(paid(format!("run {run}"))))
    });
    let waiting = Policy::default().on_busy(OnBusy::Wait(std::time::Duration::from_secs(60)));
    let client = shop.serve(layer(&crate::shop::engine(waiting))).await;
    let calls = (0..100).map(|_| client.pay(keyed("k", 500)));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().get_ref(), &paid("run 1"));
    }
    assert_eq!(shop.runs(), 1);
}
