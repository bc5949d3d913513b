//! Services behind a service, each with a layer.

use tonic::{Code, Status};

use crate::{
    client::{entry, is_replay, keyed, problem},
    outage::cuttable,
    shop::{Shop, layer, memory},
};

/// Nothing ran *there*. What this handler did before it asked is unknown, so nothing may run again
/// here.
#[tokio::test]
async fn g1_a_problem_of_a_service_downstream_is_not_the_handlers_word() {
    let (idem, cable) = cuttable(idem_core::Policy::default());
    let bank = Shop::new();
    let bank_client = bank.serve(layer(&idem)).await;
    cable.cut();
    let shop = Shop::new().pay(move |_, _| {
        let bank = bank_client.clone();
        async move { bank.pay(keyed("derived", 1)).await }
    });
    let client = shop.serve(layer(&memory())).await;
    for replayed in [false, true] {
        let status = client.pay(keyed("k", 1)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(is_replay(status.metadata()), replayed);
        for name in [
            "idempotency-problem",
            "idempotency-disposition",
            "grpc-retry-pushback-ms",
        ] {
            assert_eq!(entry(status.metadata(), name), None, "{name}");
        }
    }
    assert_eq!((shop.runs(), bank.runs()), (1, 0));
}

#[tokio::test]
async fn a_first_answer_is_not_marked_as_the_replay_that_it_was_downstream() {
    let bank = Shop::failing(Code::NotFound);
    let bank_client = bank.serve(layer(&memory())).await;
    bank_client.pay(keyed("derived", 1)).await.unwrap_err();
    let shop = Shop::new()
        .pay({
            let bank = bank_client.clone();
            move |_, _| {
                let bank = bank.clone();
                async move { bank.pay(keyed("derived", 1)).await }
            }
        })
        .watch(move |_, _| {
            let bank = bank_client.clone();
            async move {
                let status = bank.pay(keyed("derived", 1)).await.unwrap_err();
                assert!(is_replay(status.metadata()));
                let answers = futures_util::stream::iter([Err::<_, Status>(status)]);
                Ok(tonic::Response::new(
                    Box::pin(answers) as crate::shop::Answers
                ))
            }
        });
    let client = shop.serve(layer(&memory())).await;
    let status = client.pay(keyed("k", 1)).await.unwrap_err();
    assert!(!is_replay(status.metadata()));
    let mut answers = client.watch(keyed("w", 1)).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(!is_replay(status.metadata()));
}

#[tokio::test]
async fn a_layer_inside_of_another_passes_its_own_key_through() {
    use tonic::service::LayerExt;
    use tonic::transport::Server;

    let shop = Shop::new();
    let (idem, other) = (memory(), memory());
    let global = |idem: &idem_core::Idempotency| {
        idem_tower::IdempotencyLayer::grpc(idem.clone(), |_| Ok(idem_core::Scope::global()))
    };
    let (incoming, address) = crate::shop::listen().await;
    let server = Server::builder()
        .layer(global(&idem))
        .add_service(global(&other).named_layer(shop.clone()));
    tokio::spawn(server.serve_with_incoming(incoming));
    let client = crate::client::Client::connect(address).await;
    let first = client.pay(keyed("k", 1)).await.unwrap();
    let again = client.pay(keyed("k", 1)).await.unwrap();
    assert_eq!(first.get_ref(), again.get_ref());
    assert_eq!(shop.runs(), 1);
    let mismatch = client.pay(keyed("k", 2)).await.unwrap_err();
    assert_eq!(
        problem(&mismatch),
        (Code::FailedPrecondition, "fingerprint-mismatch")
    );
}
