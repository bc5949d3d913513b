//! The routes of the fixture for a server in Rust: what stands behind the layer under test.
//!
//! `vectors/README.md` says which routes there are. A server mounts one catch-all under each of the
//! [`PROFILES`], protected by that [`profile`] and with [`scope`], and answers there with
//! [`Shop::answer`]; whatever else is asked is answered with [`Shop::control`], without a layer.
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use idem_vectors::fixture::{Call, Shop};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shop = Shop::new();
//! let call = Call::new("/seed/echo".parse()?, &HeaderMap::new(), false, "{}");
//! assert_eq!(shop.answer(call).await.status(), StatusCode::CREATED);
//! assert_eq!(shop.control(&"/control/runs".parse()?), "1");
//! # Ok(()) }
//! ```

use std::{
    collections::HashMap,
    io,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use idem_core::Scope;
use idem_http::{Disposition, Profile};
use tokio::sync::Semaphore;

/// The first segments of the protected paths.
pub const PROFILES: [&str; 4] = ["seed", "ietf", "stripe", "optional"];

/// The profile under which the paths below this segment are protected.
#[must_use]
pub fn profile(name: &str) -> Profile {
    match name {
        "ietf" => Profile::ietf(),
        "stripe" => Profile::stripe(),
        "optional" => Profile::seed().optional(),
        _ => Profile::seed(),
    }
}

/// The first segment of a path, and what follows.
#[must_use]
pub fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

/// Whose keys they are, by the value of the header `X-Caller`. `None` for `nobody`, and for a value
/// that is not a scope: such a request is refused with 401.
#[must_use]
pub fn scope(caller: Option<&[u8]>) -> Option<Scope> {
    let caller = std::str::from_utf8(caller.unwrap_or(b"default")).ok()?;
    (caller != "nobody").then(|| Scope::new(caller).ok())?
}

/// What a handler knows of its request.
#[derive(Debug, Clone)]
pub struct Call {
    uri: Uri,
    case: String,
    protected: bool,
    body: Bytes,
}

impl Call {
    /// `uri` is the one that the client sent; `protected` is whether an idempotency layer protects this
    /// request.
    #[must_use]
    pub fn new(uri: Uri, headers: &HeaderMap, protected: bool, body: impl Into<Bytes>) -> Self {
        let case = headers.get("x-case").map(HeaderValue::as_bytes);
        Self::of_case(case.unwrap_or_default(), uri, protected, body)
    }

    /// The same for a server with other header types: `case` is the value of the header `X-Case`.
    #[must_use]
    pub fn of_case(case: &[u8], uri: Uri, protected: bool, body: impl Into<Bytes>) -> Self {
        Self {
            uri,
            case: String::from_utf8_lossy(case).into_owned(),
            protected,
            body: body.into(),
        }
    }
}

/// The body of an answer.
pub type Body = BoxBody<Bytes, io::Error>;

/// The handlers of the fixture, and what the cases ask about them.
#[derive(Default)]
pub struct Shop {
    cases: Mutex<HashMap<String, Arc<Case>>>,
    switch: Option<Switch>,
    trailers: bool,
}

type Switch = Box<dyn Fn(bool) + Send + Sync>;

struct Case {
    runs: AtomicU64,
    gate: Semaphore,
}

impl Shop {
    /// A shop that offers neither trailers nor a store that can be taken away: the cases that need
    /// them are skipped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The server can send trailers.
    #[must_use]
    pub fn with_trailers(mut self) -> Self {
        self.trailers = true;
        self
    }

    /// The store can be taken away (`true`) and given back (`false`).
    #[must_use]
    pub fn with_store_switch(mut self, away: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.switch = Some(Box::new(away));
        self
    }

    fn case(&self, name: &str) -> Arc<Case> {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let case = cases.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Case {
                runs: AtomicU64::new(0),
                gate: Semaphore::new(0),
            })
        });
        Arc::clone(case)
    }

    /// The answer to `GET /control/…`, which stands beside the layer.
    pub fn control(&self, uri: &Uri) -> String {
        let case = self.case(query(uri, "case").unwrap_or_default());
        match split(uri.path()).1 {
            "offers" => {
                let faults = self.switch.as_ref().map(|_| "faults");
                let trailers = self.trailers.then_some("trailers");
                let offers: Vec<_> = faults.into_iter().chain(trailers).collect();
                return offers.join(" ");
            }
            "open" => case.gate.add_permits(number(uri, "permits")),
            "store" => {
                if let Some(switch) = &self.switch {
                    switch(query(uri, "state") == Some("away"));
                }
            }
            _ => {}
        }
        case.runs.load(Ordering::SeqCst).to_string()
    }

    /// Handles a request behind the layer.
    ///
    /// # Panics
    /// On the route `/panic`, which is there for that.
    ///
    /// # Cancel safety
    /// A call that is dropped has counted as a run, as a handler's that a client hung up on.
    pub async fn answer(&self, call: Call) -> Response<Body> {
        let case = self.case(&call.case);
        let run = case.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let path = split(call.uri.path()).1;
        let (route, rest) = split(path);
        match route {
            "status" => match StatusCode::from_str(rest).unwrap_or(StatusCode::NOT_FOUND) {
                StatusCode::NO_CONTENT => with(StatusCode::NO_CONTENT, full("")),
                status => text(status, format!("run {run}")),
            },
            "redirect" => {
                let mut response = with(StatusCode::SEE_OTHER, full(""));
                set(&mut response, "location", "/payments/17");
                response
            }
            "headers" => headers(),
            "marked" => {
                let mut response = text(StatusCode::OK, "paid");
                set(&mut response, "idempotent-replayed", "true");
                set(&mut response, "idempotent-replay-body", "omitted");
                set(&mut response, "idempotency-degraded", "true");
                response
            }
            "gzip" => {
                let mut response = text(StatusCode::OK, "no gzip, but bytes");
                set(&mut response, "content-encoding", "gzip");
                response
            }
            "secret" => {
                let response = text(StatusCode::CREATED, "a secret shown once");
                saying(Disposition::FinalWithoutBody, response)
            }
            "retryable" => {
                let response = with(StatusCode::SERVICE_UNAVAILABLE, full(""));
                saying(Disposition::Retryable, response)
            }
            "final" => {
                let response = with(StatusCode::TOO_MANY_REQUESTS, full(""));
                saying(Disposition::Final, response)
            }
            "otp" if call.body == "wrong" => {
                let response = with(StatusCode::UNPROCESSABLE_ENTITY, full(""));
                saying(Disposition::Release, response)
            }
            "panic" => panic!("the card reader caught fire"),
            "hold" => {
                permit(&case).await;
                created(run, &call)
            }
            "stream" => {
                let piece = Bytes::from(vec![b'x'; number(&call.uri, "size")]);
                let pieces = 0..number(&call.uri, "pieces");
                let pieces = stream::iter(pieces.map(move |_| Frame::data(piece.clone())));
                with(StatusCode::OK, streamed(pieces))
            }
            "large" => {
                let body = vec![b'x'; number(&call.uri, "size")];
                let mut response = with(StatusCode::OK, full(body));
                set(&mut response, "content-type", "application/octet-stream");
                if let Some(encoding) = query(&call.uri, "encoding") {
                    set(&mut response, "content-encoding", encoding);
                }
                response
            }
            "trickle" => {
                let first = stream::iter([Frame::data(Bytes::from("first, "))]);
                let rest = stream::once(async move {
                    permit(&case).await;
                    Frame::data(Bytes::from("rest"))
                });
                with(StatusCode::OK, streamed(first.chain(rest)))
            }
            "trailers" => trailers(),
            _ => created(run, &call),
        }
    }
}

/// Waits for a permit of the case, and takes it.
async fn permit(case: &Case) {
    if let Ok(permit) = case.gate.acquire().await {
        permit.forget();
    }
}

fn created(run: u64, call: &Call) -> Response<Body> {
    let (bytes, protected) = (call.body.len(), call.protected);
    let body = format!("{{\"run\":{run},\"bytes\":{bytes},\"protected\":{protected}}}");
    let mut response = text(StatusCode::CREATED, body);
    set(&mut response, "content-type", "application/json");
    set(&mut response, "location", &format!("/echo/{run}"));
    set(&mut response, "etag", &format!("\"{run}\""));
    response
}

fn headers() -> Response<Body> {
    let mut response = text(StatusCode::OK, "paid");
    for (name, value) in [
        ("link", "</2>; rel=next"),
        ("link", "</0>; rel=prev"),
        ("vary", "accept-language"),
        ("cache-control", "no-store"),
        ("content-language", "de"),
        ("set-cookie", "session=1"),
        ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("access-control-allow-origin", "https://one.example"),
        ("ratelimit", "default;r=1"),
        ("traceparent", "00-1-1-00"),
        ("x-request-id", "17"),
        ("www-authenticate", "Bearer"),
        ("retry-after", "17"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().append(name, value);
    }
    if let Ok(latin) = HeaderValue::from_bytes(b"attachment; filename=\"\xe4\"") {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, latin);
    }
    response
}

/// gRPC says in a trailer how a call ended.
fn trailers() -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from("paid")), Frame::trailers(trailers)];
    let mut response = with(StatusCode::OK, streamed(stream::iter(frames)));
    set(&mut response, "trailer", "grpc-status");
    response
}

fn with(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = with(status, full(body));
    set(&mut response, "content-type", "text/plain; charset=utf-8");
    response
}

fn saying(disposition: Disposition, mut response: Response<Body>) -> Response<Body> {
    response.extensions_mut().insert(disposition);
    response
}

/// Sets a header, unless its value is not one.
fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body of unknown length.
fn streamed(frames: impl Stream<Item = Frame<Bytes>> + Send + Sync + 'static) -> Body {
    BoxBody::new(StreamBody::new(frames.map(Ok)))
}

/// A value of the query.
fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query()?.split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn number(uri: &Uri, name: &str) -> usize {
    query(uri, name)
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}
