//! Sends requests, each over a connection of its own.

use std::convert::Infallible;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::case;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(crate) fn code(&self) -> Option<String> {
        let code = self.json()?.get("code")?.as_str()?.to_owned();
        Some(code)
    }
}

/// A server under test.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    authority: String,
}

impl Server {
    /// Of an address such as `http://127.0.0.1:8080`.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| url.to_owned())?;
        let authority = uri.authority().context("the address has no host")?;
        anyhow::ensure!(uri.scheme_str() == Some("http"), "only http:// addresses");
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:80"),
        };
        Ok(Self { authority })
    }

    pub(crate) async fn send(&self, request: &Prepared) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = Connection(tokio::spawn(async move { drop(connection.await) }));
        let answered = client.send_request(request.build(&self.authority)?).await?;
        let (head, body) = answered.into_parts();
        let body = body.collect().await.context("the answer broke off")?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
            trailers,
        })
    }

    /// The text at a path of the fixture's.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<String> {
        let request = Prepared {
            method: Method::GET,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            chunked: None,
        };
        let answer = self.send(&request).await?;
        anyhow::ensure!(answer.status.is_success(), "GET {path}: {}", answer.status);
        Ok(String::from_utf8_lossy(&answer.body).trim().to_owned())
    }
}

/// Is gone when this is dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request of a case, with the names that this run drew.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    chunked: Option<usize>,
}

type Body = Either<
    Full<Bytes>,
    StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>,
>;

impl Prepared {
    /// `{case}` stands for a word that is new for each run of each case.
    pub(crate) fn new(request: &case::Request, word: &str) -> anyhow::Result<Self> {
        let fill = |text: &str| text.replace("{case}", word);
        let mut headers = HeaderMap::new();
        headers.append("x-case", HeaderValue::from_str(word)?);
        let key = request.key.iter();
        let key = key.map(|key| ("idempotency-key".to_owned(), key.clone()));
        for (name, value) in key.chain(request.headers.iter().cloned()) {
            headers.append(HeaderName::try_from(&name)?, bytes(&fill(&value))?);
        }
        Ok(Self {
            method: request.method.parse()?,
            path: fill(&request.path),
            headers,
            body: fill(&request.body).repeat(request.repeat).into(),
            chunked: request.chunked,
        })
    }

    fn build(&self, authority: &str) -> anyhow::Result<http::Request<Body>> {
        let body = match self.chunked {
            None => Either::Left(Full::new(self.body.clone())),
            Some(size) => {
                let pieces = self.body.chunks(size).map(Bytes::copy_from_slice);
                let frames: Vec<_> = pieces.map(|piece| Ok(Frame::data(piece))).collect();
                Either::Right(StreamBody::new(stream::iter(frames)))
            }
        };
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse()?;
        *request.headers_mut() = self.headers.clone();
        let host = HeaderValue::from_str(authority)?;
        request.headers_mut().insert("host", host);
        Ok(request)
    }
}

/// A header's value. Characters from U+0080 to U+00FF stand for the bytes of the same number.
fn bytes(text: &str) -> anyhow::Result<HeaderValue> {
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    Ok(HeaderValue::from_bytes(&bytes?)?)
}
