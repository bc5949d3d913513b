//! The client's half as a tower layer over the client of hyper-util.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use idem_core::IdempotencyKey;
use idem_http::client::{GaveUp, HeldBody, Intent, IntentError, IntentLayer, SentBody, StopReason};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tower::{Layer, ServiceExt};

use super::{
    losing_answers, rules,
    support::{layer, memory, outage::cuttable, serve, shop::payments},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<Response<HeldBody<hyper::body::Incoming>>, BoxError>;

/// Where nobody listens.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

async fn send<B>(most_sendings: u32, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    let layer = IntentLayer::new(rules(most_sendings)).not_sent(|error| {
        let error = error.downcast_ref::<Error>();
        error.is_some_and(Error::is_connect)
    });
    let client: Client<HttpConnector, SentBody<B>> =
        Client::builder(TokioExecutor::new()).build_http();
    layer.layer(client).oneshot(request).await
}

fn payment(address: SocketAddr) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://{address}/payments"));
    request.body(Full::from(r#"{"amount":500}"#)).unwrap()
}

#[track_caller]
fn gave_up(answer: Answer) -> GaveUp {
    IntentError::of(&*answer.unwrap_err()).unwrap().gave_up()
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let (app, runs) = payments(layer(&memory()));
    let proxy = losing_answers(serve(app).await, 2).await;
    let answer = send(8, payment(proxy)).await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["idempotent-replayed"], "true");
    assert!(answer.extensions().get::<IdempotencyKey>().is_some());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((&body[..], runs.get()), (&br#"{"id":1}"#[..], 1));
}

/// A timeout around the client ends at the head of an answer.
#[tokio::test]
async fn an_answer_whose_body_stalls_counts_as_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stalling = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let head = b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{";
            client.write_all(head).await.unwrap();
            held.push(client);
        }
    });
    let client: Client<HttpConnector, SentBody<Full<Bytes>>> =
        Client::builder(TokioExecutor::new()).build_http();
    let layer = IntentLayer::new(rules(2)).timeout(Duration::from_millis(20));
    let answer = layer.layer(client).oneshot(payment(address)).await;
    let unknown = GaveUp::OutcomeUnknown(StopReason::SendingsSpent);
    assert_eq!(gave_up(answer), unknown);
    stalling.abort();
}

#[tokio::test]
async fn what_may_have_run_is_never_unlearned() {
    let (app, runs) = payments(layer(&memory()));
    let proxy = losing_answers(serve(app).await, usize::MAX).await;
    let unknown = GaveUp::OutcomeUnknown(StopReason::SendingsSpent);
    assert_eq!(gave_up(send(3, payment(proxy)).await), unknown);
    assert_eq!(runs.get(), 1);

    // No connection proves that nothing was sent now, and nothing of an earlier sending.
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!(gave_up(send(2, payment(NOBODY)).await), nothing);
    let now = SystemTime::now();
    let mut resumed = payment(NOBODY);
    let intent = Intent::resume(IdempotencyKey::random(), now, now, rules(2));
    resumed.extensions_mut().insert(intent);
    assert_eq!(gave_up(send(2, resumed).await), unknown);
}

#[tokio::test]
async fn a_store_that_is_away_is_told_with_its_answer() {
    let (idem, cable) = cuttable(idem_core::Policy::default());
    let (app, runs) = payments(layer(&idem));
    cable.cut();
    let error = send(1, payment(serve(app).await)).await.unwrap_err();
    let error = IntentError::of(&*error).unwrap();
    let nothing = GaveUp::NothingRan(StopReason::SendingsSpent);
    assert_eq!((error.gave_up(), runs.get()), (nothing, 0));
    assert_eq!(error.response().unwrap().status(), 503);
}

#[tokio::test]
async fn a_body_over_the_limit_is_sent_once() {
    let (app, runs) = payments(layer(&memory()));
    let address = serve(app).await;
    let streamed = |address| {
        let pieces =
            (0..3).map(|_| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 400 << 10]))));
        let body = StreamBody::new(stream::iter(pieces));
        Request::post(format!("http://{address}/payments"))
            .body(body)
            .unwrap()
    };
    // 1.2 MB are over the layer's limit as well: 413, and the answer is the outcome.
    let answer = send(8, streamed(address)).await.unwrap();
    assert_eq!((answer.status().as_u16(), runs.get()), (413, 0));
    let stuck = GaveUp::NothingRan(StopReason::NotSendable);
    assert_eq!(gave_up(send(8, streamed(NOBODY)).await), stuck);
}

#[tokio::test]
async fn only_requests_that_change_something_get_a_key() {
    let (app, runs) = payments(layer(&memory()));
    let address = serve(app).await;
    let mut get = payment(address);
    *get.method_mut() = Method::GET;
    let answer = send(8, get).await.unwrap();
    assert!(answer.extensions().get::<IdempotencyKey>().is_none());

    let mut keyed = payment(address);
    keyed
        .headers_mut()
        .insert("idempotency-key", "mine".parse().unwrap());
    for _ in 0..2 {
        let answer = send(8, keyed.clone()).await.unwrap();
        assert_eq!(
            answer
                .extensions()
                .get::<IdempotencyKey>()
                .unwrap()
                .as_str(),
            "mine"
        );
    }
    let mut malformed = payment(address);
    malformed
        .headers_mut()
        .insert("idempotency-key", "a, b".parse().unwrap());
    send(8, malformed).await.unwrap_err();
    assert_eq!(runs.get(), 2);
}
