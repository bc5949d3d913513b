//! A payment service written by hand, and its server.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, stream};
use http_body::Body as HttpBody;
use idem_core::{Idempotency, Policy, Scope};
use idem_memory::MemoryStore;
use idem_tower::IdempotencyLayer;
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    codec::CompressionEncoding,
    server::{Grpc, NamedService},
    service::InterceptorLayer,
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::client::Client;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pay {
    #[prost(string, tag = "1")]
    pub(crate) account: String,
    #[prost(uint64, tag = "2")]
    pub(crate) cents: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Paid {
    #[prost(string, tag = "1")]
    pub(crate) receipt: String,
}

pub(crate) fn paid(receipt: impl Into<String>) -> Paid {
    Paid {
        receipt: receipt.into(),
    }
}

type Pinned<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<Paid, Status>> + Send>>;
type Unary =
    Arc<dyn Fn(Request<Pay>, usize) -> Pinned<Result<Response<Paid>, Status>> + Send + Sync>;
type Watch =
    Arc<dyn Fn(Request<Pay>, usize) -> Pinned<Result<Response<Answers>, Status>> + Send + Sync>;

/// `shop.Payments`. Each handler is told which run it is, from 1.
#[derive(Clone)]
pub(crate) struct Shop {
    runs: Arc<AtomicUsize>,
    pay: Unary,
    watch: Watch,
    compressed: bool,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self {
            runs: Arc::default(),
            pay: Arc::new(|_, _| unreachable!()),
            watch: Arc::new(|_, _| unreachable!()),
            compressed: false,
        };
        shop.pay(async |call: Request<Pay>, run| {
            let cents = call.get_ref().cents;
            let mut response = Response::new(paid(format!("receipt {run} over {cents}")));
            let metadata = response.metadata_mut();
            metadata.insert("shop-note", "thanks".parse().unwrap());
            metadata.insert_bin(
                "shop-bin",
                tonic::metadata::MetadataValue::from_bytes(b"\0\xff"),
            );
            Ok(response)
        })
        .watch(async |call: Request<Pay>, run| {
            let count = call.get_ref().cents;
            let answers = (0..count).map(move |n| Ok(paid(format!("run {run}, part {n}"))));
            Ok(Response::new(stream::iter(answers).boxed() as Answers))
        })
    }

    /// Every payment ends like this.
    pub(crate) fn failing(code: Code) -> Self {
        Self::new().pay(move |_, run| async move {
            Err(Status::new(code, format!("run {run}: 50 % of π")))
        })
    }

    pub(crate) fn pay<F>(
        mut self,
        handler: impl Fn(Request<Pay>, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response<Paid>, Status>> + Send + 'static,
    {
        self.pay = Arc::new(move |call, run| Box::pin(handler(call, run)));
        self
    }

    pub(crate) fn watch<F>(
        mut self,
        handler: impl Fn(Request<Pay>, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response<Answers>, Status>> + Send + 'static,
    {
        self.watch = Arc::new(move |call, run| Box::pin(handler(call, run)));
        self
    }

    pub(crate) fn compressed(mut self) -> Self {
        self.compressed = true;
        self
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Serves it behind `layer` on a free port.
    pub(crate) async fn serve(&self, layer: IdempotencyLayer) -> Client {
        let (incoming, address) = listen().await;
        let server = Server::builder()
            .layer(InterceptorLayer::new(authenticate))
            .layer(layer)
            .add_service(self.clone())
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        Client::connect(address).await
    }

    fn count(&self) -> usize {
        self.runs.fetch_add(1, Ordering::SeqCst) + 1
    }

    async fn answer<B>(self, request: http::Request<B>) -> http::Response<Body>
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<tonic::codegen::StdError> + Send + 'static,
    {
        let mut grpc = Grpc::new(ProstCodec::<Paid, Pay>::default())
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        if self.compressed {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        match request.uri().path() {
            "/shop.Payments/Pay" | "/shop.Payments/Look" => {
                let handler = service_fn(|call| (self.pay)(call, self.count()));
                grpc.unary(handler, request).await
            }
            "/shop.Payments/Watch" => {
                let handler = service_fn(|call| (self.watch)(call, self.count()));
                grpc.server_streaming(handler, request).await
            }
            "/shop.Payments/Upload" => {
                let handler = service_fn(|call: Request<Streaming<Pay>>| {
                    let run = self.count();
                    async move {
                        let calls: Vec<_> = call.into_inner().collect().await;
                        Ok(Response::new(paid(format!(
                            "run {run}: {} parts",
                            calls.len()
                        ))))
                    }
                });
                grpc.client_streaming(handler, request).await
            }
            "/shop.Payments/Chat" => {
                let handler = service_fn(|call: Request<Streaming<Pay>>| {
                    let run = self.count();
                    let answer = move |pay: Result<Pay, _>| {
                        pay.map(|p| paid(format!("run {run}: {}", p.cents)))
                    };
                    let answers: Answers = call.into_inner().map(answer).boxed();
                    async { Ok(Response::new(answers)) }
                });
                grpc.streaming(handler, request).await
            }
            _ => Status::unimplemented("no such method").into_http(),
        }
    }
}

impl<B> tower::Service<http::Request<B>> for Shop
where
    B: HttpBody + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pinned<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let shop = self.clone();
        Box::pin(async move { Ok(shop.answer(request).await) })
    }
}

impl NamedService for Shop {
    const NAME: &'static str = "shop.Payments";
}

/// A free port.
pub(crate) async fn listen() -> (TcpIncoming, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (TcpIncoming::from(listener), address)
}

/// The verified caller.
#[derive(Clone)]
pub(crate) struct Merchant(pub(crate) String);

fn authenticate(mut call: Request<()>) -> Result<Request<()>, Status> {
    let merchant = call.metadata().get("authorization");
    let merchant = merchant.map(|name| Merchant(name.to_str().unwrap().to_owned()));
    if let Some(merchant) = merchant {
        call.extensions_mut().insert(merchant);
    }
    Ok(call)
}

pub(crate) fn engine(policy: Policy) -> Idempotency {
    let engine = Idempotency::builder(MemoryStore::default()).policy(policy);
    engine.build().unwrap()
}

pub(crate) fn memory() -> Idempotency {
    engine(Policy::default())
}

pub(crate) fn layer(idem: &Idempotency) -> IdempotencyLayer {
    IdempotencyLayer::grpc(idem.clone(), |parts| {
        match parts.extensions.get::<Merchant>() {
            Some(Merchant(name)) => Ok(Scope::new(name)?),
            None => Err(http::StatusCode::UNAUTHORIZED.into()),
        }
    })
}
