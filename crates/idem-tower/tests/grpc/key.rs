//! Keys that are none.

use http::HeaderValue;
use tonic::{
    Code, Request,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    client::{is_replay, keyed, pay, problem},
    shop::{Pay, Shop, layer, memory},
};

fn with_values(values: &[&[u8]]) -> Request<Pay> {
    let mut call = pay(1);
    let mut headers = std::mem::take(call.metadata_mut()).into_headers();
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        headers.append("idempotency-key", value);
    }
    *call.metadata_mut() = MetadataMap::from_headers(headers);
    call
}

/// A client that sends a key wants protection, so this holds where a key is optional as well.
#[tokio::test]
async fn what_is_no_key_is_invalid_argument_and_runs_nothing() {
    let shop = Shop::new();
    let profile = idem_tower::Profile::grpc().optional();
    let client = shop.serve(layer(&memory()).profile(profile)).await;
    let long = "k".repeat(300);
    let bad: [&[&[u8]]; 8] = [
        &[b""],
        &[long.as_bytes()],
        &[b"a", b"b"],
        &[b"a", b"a"],
        &[b"a,b"],
        &[b"\"a"],
        &["k\u{e9}y".as_bytes()],
        &[b"\xff"],
    ];
    for values in bad {
        let status = client.pay(with_values(values)).await.unwrap_err();
        let told = problem(&status);
        assert_eq!(told, (Code::InvalidArgument, "key-malformed"), "{values:?}");
    }
    assert_eq!(shop.runs(), 0);
    client.pay(pay(1)).await.unwrap();
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn a_binary_key_is_refused_and_not_ignored() {
    let shop = Shop::new();
    let profile = idem_tower::Profile::grpc().optional();
    let client = shop.serve(layer(&memory()).profile(profile)).await;
    for mut call in [pay(1), keyed("k", 1)] {
        let key = MetadataValue::from_bytes(b"\x01\x02");
        call.metadata_mut().insert_bin("idempotency-key-bin", key);
        let status = client.pay(call).await.unwrap_err();
        assert_eq!(problem(&status), (Code::InvalidArgument, "key-malformed"));
        assert!(status.message().contains("send it as text"), "{status:?}");
    }
    assert_eq!(shop.runs(), 0);
}

#[tokio::test]
async fn a_key_of_255_characters_and_one_in_quotes_are_keys() {
    let shop = Shop::new();
    let client = shop.serve(layer(&memory())).await;
    let long = "k".repeat(255);
    for key in [&long, r#""a b\"c""#, ":{*/"] {
        client.pay(keyed(key, 1)).await.unwrap();
        let again = client.pay(keyed(key, 1)).await.unwrap();
        assert!(is_replay(again.metadata()), "{key}");
    }
    client.pay(keyed("plain", 1)).await.unwrap();
    let quoted = client.pay(keyed("\"plain\"", 1)).await.unwrap();
    assert!(is_replay(quoted.metadata()));
}
