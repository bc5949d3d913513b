//! `idem-tower` on axum over `idem-memory`, beside the same handler without it.
//!
//! Both serve over loopback to the same small client, which keeps its connections alive. A `fresh`
//! request has a key of its own and runs the handler; a `replay` has a key that ended.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use axum::{Router, response::IntoResponse, routing::post, serve::ListenerExt};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use idem_core::{Idempotency, Scope};
use idem_memory::MemoryStore;
use idem_tower::{IdempotencyLayer, PathFrom};
use tokio::net::{TcpListener, TcpStream};

use crate::case::{Case, Load};

/// Answers that are there to be replayed.
const REPLAYED: u64 = 10_000;

const PAYMENT: &[u8] = br#"{"amount":500,"currency":"usd","description":"two tickets, row 7"}"#;
const RECEIPT: &str =
    r#"{"id":"pay_8e03978e40d543dd","amount":500,"currency":"usd","captured":true}"#;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    Ok(vec![
        Case::new("fresh", Fresh, Bare),
        Case::new("replay", Replay, Bare),
    ])
}

/// Serves both sides to a client of somebody's own, until the process is ended.
pub(crate) async fn serve() -> Result<()> {
    let (bare, layered) = (Shop::open(router()).await?, Shop::layered().await?);
    println!("bare     http://{}/v1/payments", bare.address);
    println!("layered  http://{}/v1/payments", layered.address);
    std::future::pending().await
}

/// What the requests of a slice carry: one key each.
type Keys = Vec<HeaderValue>;

struct Fresh;

impl Load for Fresh {
    type World = Shop;
    type Batch = Keys;

    async fn world(&self) -> Result<Shop> {
        Shop::layered().await
    }

    async fn batch(shop: &Shop, ops: usize) -> Result<Keys> {
        shop.fresh_keys(ops)
    }

    async fn op(shop: &Shop, keys: &Keys, index: usize) -> Result<()> {
        let replayed = shop.pay(&keys[index]).await?;
        ensure!(!replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct Replay;

impl Load for Replay {
    type World = Shop;
    type Batch = Keys;

    async fn world(&self) -> Result<Shop> {
        let shop = Shop::layered().await?;
        for held in 0..REPLAYED {
            shop.pay(&key("held", held)?).await?;
        }
        Ok(shop)
    }

    async fn batch(_: &Shop, ops: usize) -> Result<Keys> {
        (0..ops as u64)
            .map(|index| key("held", index % REPLAYED))
            .collect()
    }

    async fn op(shop: &Shop, keys: &Keys, index: usize) -> Result<()> {
        let replayed = shop.pay(&keys[index]).await?;
        ensure!(replayed, "a key that ended ran again");
        Ok(())
    }
}

/// The handler alone, which gets the same requests.
struct Bare;

impl Load for Bare {
    type World = Shop;
    type Batch = Keys;

    async fn world(&self) -> Result<Shop> {
        Shop::open(router()).await
    }

    async fn batch(shop: &Shop, ops: usize) -> Result<Keys> {
        shop.fresh_keys(ops)
    }

    async fn op(shop: &Shop, keys: &Keys, index: usize) -> Result<()> {
        shop.pay(&keys[index]).await.map(drop)
    }
}

fn key(kind: &str, index: u64) -> Result<HeaderValue> {
    let key = format!("\"8e03978e-40d5-43dd-{kind}-{index:012x}\"");
    Ok(HeaderValue::try_from(key)?)
}

/// A server on loopback, and connections to it that wait for their next request.
struct Shop {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    next_key: AtomicU64,
}

impl Shop {
    async fn layered() -> Result<Self> {
        let idem = Idempotency::builder(MemoryStore::new()).build()?;
        let layer = IdempotencyLayer::new(idem, |parts| {
            let merchant = parts.headers.get(header::AUTHORIZATION);
            let merchant = merchant.and_then(|value| value.to_str().ok());
            Ok(Scope::new(merchant.ok_or(StatusCode::UNAUTHORIZED)?)?)
        });
        let layer = layer.path_from(PathFrom::AsSeen);
        Self::open(router().layer(layer)).await
    }

    async fn open(router: Router) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            address,
            idle: Mutex::default(),
            next_key: AtomicU64::new(0),
        })
    }

    fn fresh_keys(&self, count: usize) -> Result<Keys> {
        let count = count as u64;
        let first = self.next_key.fetch_add(count, Ordering::Relaxed);
        (first..first + count)
            .map(|index| key("fresh", index))
            .collect()
    }

    /// Sends a payment, and says whether its answer was a replay.
    async fn pay(&self, key: &HeaderValue) -> Result<bool> {
        let mut connection = self.connection().await?;
        let response = connection.send_request(payment(key)?).await?;
        ensure!(
            response.status() == StatusCode::CREATED,
            "{}",
            response.status()
        );
        let replayed = response.headers().contains_key("idempotent-replayed");
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(body == RECEIPT, "another answer than the receipt");
        self.lock().push(connection);
        Ok(replayed)
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>> {
        let idle = self.lock().pop();
        if let Some(mut connection) = idle {
            connection.ready().await?;
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.address)
            .await
            .context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn payment(key: &HeaderValue) -> Result<Request<Full<Bytes>>> {
    Ok(Request::builder()
        .method(Method::POST)
        .uri("/v1/payments")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "merchant-7")
        .header("idempotency-key", key)
        .body(Full::from(PAYMENT))?)
}

fn router() -> Router {
    Router::new().route("/v1/payments", post(pay))
}

async fn pay(payment: Bytes) -> impl IntoResponse {
    assert_eq!(payment, PAYMENT, "the payment arrives whole");
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::LOCATION, "/v1/payments/pay_8e03978e40d543dd"),
    ];
    (StatusCode::CREATED, headers, RECEIPT)
}
