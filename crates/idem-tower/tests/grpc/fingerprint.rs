//! What makes two calls the same.

use std::time::Duration;

use tonic::{Request, codec::CompressionEncoding};

use crate::{
    client::{codec, entry, is_replay, keyed},
    shop::{Pay, Shop, layer, memory, paid},
};

fn large(key: &str) -> Request<Pay> {
    let mut call = keyed(key, 7);
    call.get_mut().account = "account ".repeat(5000);
    call
}

#[tokio::test]
async fn a_message_is_the_same_compressed_or_not() {
    let mut encodings = vec![CompressionEncoding::Gzip];
    if cfg!(feature = "zstd") {
        encodings.push(CompressionEncoding::Zstd);
    }
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    for (encoding, key) in encodings.into_iter().zip(["a", "b"]) {
        let first = client.pay(large(key)).await.unwrap();
        let mut grpc = client.grpc().await.send_compressed(encoding);
        let path = "/shop.Payments/Pay".parse().unwrap();
        let again = grpc.unary(large(key), path, codec()).await.unwrap();
        assert_eq!(again.get_ref(), first.get_ref());
        assert!(is_replay(again.metadata()));
    }
}

/// gRPC has a client send its message again without the compression that the server refused.
#[tokio::test]
async fn a_call_that_was_refused_for_its_compression_runs_when_it_comes_without() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let grpc = client.grpc().await;
    let mut grpc = grpc.send_compressed(CompressionEncoding::Deflate);
    let path = "/shop.Payments/Pay".parse().unwrap();
    let refused = grpc.unary(large("k"), path, codec()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    assert_eq!(shop.runs(), 0);
    let answer = client.pay(large("k")).await.unwrap();
    assert!(!is_replay(answer.metadata()));
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_deadline_does_not_count() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    client.pay(keyed("k", 7)).await.unwrap();
    let mut again = keyed("k", 7);
    again.set_timeout(Duration::from_secs(77));
    assert!(is_replay(client.pay(again).await.unwrap().metadata()));
    assert_eq!(shop.runs(), 1);
}

/// The first client asked for gzip, the second one cannot read it.
#[tokio::test]
async fn g2_a_replay_of_a_compressed_answer_is_read_by_every_client() {
    let receipt = "receipt ".repeat(5000);
    let message = paid(receipt.clone());
    let shop = Shop::new().compressed().pay(move |_, _| {
        let message = message.clone();
        async { Ok(tonic::Response::new(message)) }
    });
    let client = shop.serve(layer(&memory())).await;
    let path = || "/shop.Payments/Pay".parse().unwrap();
    let grpc = client.grpc().await;
    let mut grpc = grpc.accept_compressed(CompressionEncoding::Gzip);
    let first = grpc.unary(keyed("k", 7), path(), codec()).await.unwrap();
    assert_eq!(entry(first.metadata(), "grpc-encoding"), Some("gzip"));
    grpc.ready().await.unwrap();
    for answer in [
        client.pay(keyed("k", 7)).await.unwrap(),
        grpc.unary(keyed("k", 7), path(), codec()).await.unwrap(),
    ] {
        assert!(is_replay(answer.metadata()));
        assert_eq!(entry(answer.metadata(), "grpc-encoding"), None);
        assert!(answer.get_ref().receipt == receipt);
    }
    assert_eq!(shop.runs(), 1);
}
