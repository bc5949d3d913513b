//! Stands for the network under the middleware.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode};
use http_body::Frame;
use reqwest::{Body, Request, Response};
use reqwest_middleware::{
    ClientBuilder, ClientWithMiddleware, Error, Middleware, Next as Chain, Result,
};

use super::super::IdempotencyMiddleware;

type Replies = VecDeque<fn() -> Reply>;

/// The headers and the body of a request.
type Arrived = (HeaderMap, Option<Bytes>);

pub(super) type Reply = Result<http::Response<Body>>;

/// Stands for the network: gives its replies in turn, the last one for ever.
#[derive(Clone, Default)]
pub(super) struct Network {
    replies: Arc<Mutex<Replies>>,
    pub(super) sent: Arc<Mutex<Vec<Arrived>>>,
}

impl Network {
    pub(super) fn new(replies: impl IntoIterator<Item = fn() -> Reply>) -> Self {
        Self {
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            ..Self::default()
        }
    }

    pub(super) fn client(&self, middleware: IdempotencyMiddleware) -> ClientWithMiddleware {
        ClientBuilder::new(reqwest::Client::new())
            .with(middleware)
            .with(self.clone())
            .build()
    }

    /// The key headers as they were sent.
    pub(super) fn keys(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        let key = |headers: &HeaderMap| headers["idempotency-key"].to_str().unwrap().to_owned();
        sent.iter().map(|(headers, _)| key(headers)).collect()
    }

    pub(super) fn sendings(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

#[async_trait]
impl Middleware for Network {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Chain<'_>) -> Result<Response> {
        let body = request.body().and_then(Body::as_bytes);
        let body = body.map(Bytes::copy_from_slice);
        let headers = request.headers().clone();
        self.sent.lock().unwrap().push((headers, body));
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            match replies.len() {
                0 | 1 => replies.front().copied(),
                _ => replies.pop_front(),
            }
        };
        reply.expect("a reply is scripted")().map(Response::from)
    }
}

pub(super) fn answer(status: u16, body: impl Into<Body>) -> Reply {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

pub(super) fn created() -> Reply {
    answer(201, r#"{"id":1}"#)
}

pub(super) fn lost() -> Reply {
    Err(Error::middleware(std::io::Error::other("connection reset")))
}

/// A body whose first frame arrives, and then the connection breaks.
pub(super) struct Breaks(pub(super) bool);

impl http_body::Body for Breaks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let first = !std::mem::replace(&mut self.0, true);
        Poll::Ready(Some(match first {
            true => Ok(Frame::data(Bytes::from_static(b"{\"id\""))),
            false => Err(std::io::Error::other("connection reset")),
        }))
    }
}

/// A body that never ends.
pub(super) struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}
