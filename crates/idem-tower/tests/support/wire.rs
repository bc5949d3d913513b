//! The same over a real connection, for what depends on the wire.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Answer;
pub use super::serve;

async fn connect<B>(address: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Sends one request over a connection of its own, and gives its answer as it comes.
pub async fn open<B>(address: SocketAddr, mut request: Request<B>) -> Response<Incoming>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    request
        .headers_mut()
        .insert("host", "shop".parse().unwrap());
    connect(address).await.send_request(request).await.unwrap()
}

/// [`open`], and reads the answer whole.
pub async fn send<B>(address: SocketAddr, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = open(address, request).await.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// Sends one request, to a server that may go away.
pub async fn try_open(address: SocketAddr, call: super::Call) -> hyper::Result<Response<Incoming>> {
    let mut request = call.into_request::<Full<Bytes>>();
    request
        .headers_mut()
        .insert("host", "shop".parse().unwrap());
    connect(address).await.send_request(request).await
}

/// Sends one request whose body has a known length.
pub async fn send_call(address: SocketAddr, call: super::Call) -> Answer {
    send(address, call.into_request::<Full<Bytes>>()).await
}

/// Writes bytes as they are, and gives the status and body text that come back before the server
/// closes: `Connection: close` has to be among them.
pub async fn send_raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
