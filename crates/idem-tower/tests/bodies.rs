//! Bodies that break off or grow too large on their way in, and trailers.

mod support;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use idem_http::Profile;
use support::{
    layer, memory, open, pay,
    shop::{created, payments, shop},
    wire,
};
use tower::ServiceExt;

fn pieces(pieces: usize, size: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; size]);
    let pieces = (0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    Body::from_stream(stream::iter(pieces))
}

/// A limit further out, such as tower-http's, breaks the body off.
#[tokio::test]
async fn a_chunked_request_over_an_outer_limit_is_413() {
    let (app, runs) = shop(layer(&memory()), |run| async move { created(run) });
    let app = app.layer(tower::util::MapRequestLayer::new(
        |request: http::Request<Body>| {
            request.map(|body| Body::new(http_body_util::Limited::new(body, 1000)))
        },
    ));
    let mut streamed = pay("k").into_request::<Body>();
    *streamed.body_mut() = pieces(11, 100);
    let response = app.clone().oneshot(streamed).await.unwrap();
    assert_eq!((response.status().as_u16(), runs.get()), (413, 0));
}

#[tokio::test]
async fn a_request_that_breaks_off_is_400_and_leaves_no_claim_behind() {
    let (app, runs) = shop(layer(&memory()), |run| async move { created(run) });
    let mut broken = pay("k").into_request::<Body>();
    let pieces = [Ok(Bytes::from("half")), Err(std::io::Error::other("broke"))];
    *broken.body_mut() = Body::from_stream(stream::iter(pieces));
    let response = app.clone().oneshot(broken).await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(runs.get(), 0);
    assert_eq!(pay("k").send(&app).await.status, 201);
}

/// gRPC says in a trailer how a call ended.
#[tokio::test]
async fn trailers_reach_the_first_caller_and_every_repeat_over_http_1() {
    let (app, runs) = shop(layer(&memory()), |_| async {
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let frames = [
            Ok::<_, std::io::Error>(Frame::data(Bytes::from("paid"))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = Body::new(StreamBody::new(stream::iter(frames)));
        ([("trailer", "grpc-status")], body)
    });
    let address = wire::serve(app).await;
    let head = "POST /payments HTTP/1.1\r\nHost: shop\r\nConnection: close, TE\r\n\
                TE: trailers\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n";
    for replayed in [false, true] {
        let answer = wire::send_raw(address, head.as_bytes()).await;
        assert!(answer.contains("grpc-status: 0\r\n"), "{answer}");
        assert_eq!(answer.contains("idempotent-replayed: true"), replayed);
    }
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_its_sender_is_asked_for_it() {
    let (app, runs) = payments(layer(&memory()).profile(Profile::default().request_limit(10)));
    let address = wire::serve(app).await;
    let head = "POST /payments HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\
                Idempotency-Key: k\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    let answer = wire::send_raw(address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(runs.get(), 0);
}

#[tokio::test]
async fn a_live_answer_that_is_stopped_ends_in_an_error_that_says_so() {
    let profile = Profile::default()
        .stream_after(Duration::ZERO, 0)
        .longest_run(Some(Duration::from_millis(20)));
    let (app, _) = shop(layer(&memory()).profile(profile), |_| async {
        Body::from_stream(stream::pending::<std::io::Result<Bytes>>())
    });
    let answer = open(&app, pay("k").into_request()).await;
    let error = answer.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("cut off"), "{error}");
}
