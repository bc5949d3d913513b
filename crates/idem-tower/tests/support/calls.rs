//! Requests, answers and engines, behind whatever framework.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use idem_core::{
    Idempotency, IdempotencyKey, Policy, RecordKey, Scope,
    store::{Record, Store},
};
use idem_memory::MemoryStore;

use super::{App, open};

/// An answer, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `code` of a problem, after checking that it is one in full.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["type"].as_str().unwrap().starts_with("https://"));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        problem["code"].as_str().unwrap().to_owned()
    }

    /// Checks that this is the stored answer `first`, marked.
    #[track_caller]
    pub fn assert_replays(&self, first: &Self) {
        assert!(!first.replayed(), "{first:?}");
        assert!(self.replayed(), "{self:?}");
        assert_eq!((self.status, &self.body), (first.status, &first.body));
        for name in ["content-type", "location", "etag"] {
            assert_eq!(self.headers.get(name), first.headers.get(name), "{name}");
        }
    }
}

/// A `POST /payments` with a key and a JSON body; change what the test is about.
pub struct Call {
    pub request: http::request::Builder,
    pub body: Bytes,
}

pub fn call(method: Method, target: &str) -> Call {
    Call {
        request: Request::builder().method(method).uri(target),
        body: Bytes::new(),
    }
}

pub fn pay(key: &str) -> Call {
    call(Method::POST, "/payments")
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .body(r#"{"amount":500}"#)
}

impl Call {
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn into_request<B: From<Bytes>>(self) -> Request<B> {
        self.request.body(self.body.into()).unwrap()
    }

    pub async fn send(self, app: &App) -> Answer {
        let response = open(app, self.into_request::<Body>()).await;
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

pub fn memory() -> Idempotency {
    engine(Policy::default())
}

pub fn engine(policy: Policy) -> Idempotency {
    engine_over(MemoryStore::default(), policy)
}

pub fn engine_over(store: impl Store + 'static, policy: Policy) -> Idempotency {
    let engine = Idempotency::builder(store).policy(policy).build();
    engine.unwrap()
}

/// The record key of a request without a merchant.
pub fn record_key(key: &str) -> RecordKey {
    let key = IdempotencyKey::new(key).unwrap();
    Scope::new("default").unwrap().key(&key)
}

/// What the store has for it.
pub async fn record(idem: &Idempotency, key: &str) -> Option<Record> {
    let found = idem.lookup(&record_key(key)).await.unwrap();
    found.map(|stored| stored.record)
}
