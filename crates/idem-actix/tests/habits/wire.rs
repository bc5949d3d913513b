//! HTTP/2, and bodies that are asked for.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{layer, memory, pay, shop::payments};

#[tokio::test]
async fn one_request_over_http_2_and_http_1_is_one_request() {
    let (app, runs) = payments(layer(&memory()));
    let stream = TcpStream::connect(app.address()).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    for replayed in [false, true] {
        let mut request = pay("k").into_request::<Full<Bytes>>();
        *request.uri_mut() = "http://shop/payments".parse().unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(
            response.headers().contains_key("idempotent-replayed"),
            replayed
        );
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), r#"{"id":1}"#);
    }
    assert!(pay("k").send(&app).await.replayed());
    assert_eq!(runs.get(), 1);
}

/// actix-web asks for the body before any middleware is called, so the sender of one that is too
/// large is heard to the end and gets to see why.
#[tokio::test]
async fn a_body_that_was_asked_for_and_is_too_large_is_413() {
    let (app, runs) = payments(layer(&memory()));
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    let size = 2_000_000;
    let head = format!(
        "POST /payments HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nIdempotency-Key: k\r\n\
         Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body-too-large"), "{answer}");
    assert_eq!(runs.get(), 0);
}
