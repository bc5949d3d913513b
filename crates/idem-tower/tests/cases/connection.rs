//! What depends on a real connection.

use std::convert::Infallible;

use crate::support::{
    layer, memory, pay,
    shop::{payments, shop},
    wire,
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use http_body::Frame;
use http_body_util::StreamBody;

/// The same request in chunks of one byte, without a length.
fn chunked(key: &str) -> http::Request<impl http_body::Body<Data = Bytes, Error = Infallible>> {
    let (head, body) = pay(key)
        .into_request::<http_body_util::Full<Bytes>>()
        .into_parts();
    drop(body);
    let bytes = r#"{"amount":500}"#.bytes();
    let frames = bytes.map(|byte| Ok(Frame::data(Bytes::from(vec![byte]))));
    http::Request::from_parts(
        head,
        StreamBody::new(stream::iter(frames.collect::<Vec<_>>())),
    )
}

#[tokio::test]
async fn chunked_and_content_length_of_the_same_bytes_are_one_request() {
    let (app, runs) = payments(layer(&memory()));
    let address = wire::serve(app).await;
    let first = wire::send_call(address, pay("a")).await;
    assert_eq!(first.status, 201);
    wire::send(address, chunked("a"))
        .await
        .assert_replays(&first);
    let first = wire::send(address, chunked("b")).await;
    wire::send_call(address, pay("b"))
        .await
        .assert_replays(&first);
    assert_eq!(runs.get(), 2);
}

#[tokio::test]
async fn content_length_and_date_of_a_replay_are_made_anew() {
    let (app, _) = shop(layer(&memory()), |_| async {
        let mut response = axum::response::Response::new(Body::from("paid"));
        let old = HeaderValue::from_static("Tue, 15 Nov 1994 08:12:31 GMT");
        response.headers_mut().insert(header::DATE, old);
        response
    });
    let address = wire::serve(app).await;
    wire::send_call(address, pay("k")).await;
    let again = wire::send_call(address, pay("k")).await;
    assert_eq!(again.header("content-length"), Some("4"));
    assert!(!again.header("date").unwrap().contains("1994"));
}

#[tokio::test]
async fn a_large_stream_reaches_the_first_caller_whole_over_the_wire() {
    let (app, runs) = shop(layer(&memory()), |_| async {
        let pieces = (0..300_u32).map(|n| Ok::<_, Infallible>(Bytes::from(vec![n as u8; 10_000])));
        Body::from_stream(stream::iter(pieces))
    });
    let address = wire::serve(app).await;
    let first = wire::send_call(address, pay("k")).await;
    let expected: Vec<u8> = (0..300_u32).flat_map(|n| vec![n as u8; 10_000]).collect();
    assert!(first.body == expected);
    let again = wire::send_call(address, pay("k")).await;
    assert_eq!(again.header("idempotent-replay-body"), Some("omitted"));
    assert_eq!(again.header("content-length"), Some("0"));
    assert_eq!(runs.get(), 1);
}
