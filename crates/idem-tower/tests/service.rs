//! Without axum: any tower service, its errors, its readiness and its own body types.

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use idem_core::Context;
use idem_tower::{Profile, RequestBody};
use support::{layer, memory, pay, shop::Runs};
use tower::{Layer, Service, ServiceExt, service_fn};

type Sent = Request<RequestBody<Full<Bytes>>>;

#[tokio::test]
async fn an_error_of_the_service_reaches_the_first_caller_and_is_a_stored_500_after_that() {
    let runs = Runs::default();
    let counting = runs.clone();
    let failing = service_fn(move |_: Sent| {
        counting.count();
        ready(Err::<Response<Full<Bytes>>, _>("the wire broke"))
    });
    let service = layer(&memory()).layer(failing);
    let send = || service.clone().oneshot(pay("k").into_request());
    assert_eq!(send().await.unwrap_err(), "the wire broke");
    let again = send().await.unwrap();
    assert_eq!(again.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(runs.get(), 1);
}

/// Is ready once for each time it was asked, and not in its clones.
#[derive(Default)]
struct Picky {
    ready: bool,
    runs: Runs,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            runs: self.runs.clone(),
        }
    }
}

impl Service<Sent> for Picky {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Sent) -> Self::Future {
        assert!(
            self.ready,
            "the service that is called is the one that was ready"
        );
        self.ready = false;
        self.runs.count();
        ready(Ok(Response::new(Full::from("paid"))))
    }
}

#[tokio::test]
async fn the_service_that_is_called_is_the_one_that_was_ready() {
    let picky = Picky::default();
    let mut service = layer(&memory())
        .profile(Profile::default().optional())
        .layer(picky.clone());
    for key in ["a", "b", "a"] {
        let response = service.ready().await.unwrap().call(pay(key).into_request());
        assert_eq!(response.await.unwrap().status(), 200);
    }
    let unprotected = Request::post("/").body(Full::default()).unwrap();
    let response = service.ready().await.unwrap().call(unprotected).await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(picky.runs.get(), 3);
}

#[tokio::test]
async fn a_handler_finds_the_facts_of_its_execution_and_the_whole_body_with_its_trailers() {
    let service = layer(&memory()).layer(service_fn(async |request: Sent| {
        let (head, body) = request.into_parts();
        let context = head.extensions.get::<Context>().unwrap();
        assert!(context.is_protected());
        assert_eq!((context.attempt(), context.key().key()), (1, "k"));
        assert_eq!(body.size_hint().exact(), Some(14));
        let body = body.collect().await.unwrap();
        assert_eq!(body.trailers(), None);
        let trailers = Ok(Frame::trailers(HeaderMap::from_iter([(
            http::header::ETAG,
            "\"1\"".parse().unwrap(),
        )])));
        let data = Ok::<_, Infallible>(Frame::data(body.to_bytes()));
        let frames = futures_util::stream::iter([data, trailers]);
        Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
    }));
    let send = || service.clone().oneshot(pay("k").into_request());
    let first = send().await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(first.trailers().unwrap()["etag"], "\"1\"");
    assert_eq!(first.to_bytes(), r#"{"amount":500}"#);
    let again = send().await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(again.trailers().unwrap()["etag"], "\"1\"");
    assert_eq!(again.to_bytes(), r#"{"amount":500}"#);
}
