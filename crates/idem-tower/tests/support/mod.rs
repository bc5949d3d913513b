//! A payment service to send requests to, in process or over loopback.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]

mod calls;
pub mod outage;
pub mod shop;
pub mod table;
pub mod wire;

use axum::{Extension, Router, body::Body, response::Response, routing::any};
use http::{Request, StatusCode};
use idem_core::{Idempotency, Scope};
use idem_tower::{IdempotencyLayer, PathFrom, Rejection, RouteKnobs};
use tokio::net::TcpListener;
use tower::ServiceExt;

pub use calls::*;

pub type App = Router;
pub type Layer = IdempotencyLayer;

/// A service with one handler for every path and method.
pub fn serving<F>(layer: Layer, handler: impl Fn() -> F + Clone + Send + Sync + 'static) -> App
where
    F: Future<Output = Response> + Send + 'static,
{
    Router::new().fallback(any(handler)).layer(layer)
}

/// Sends a request in process.
pub async fn open(app: &App, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

/// Serves on a free port of loopback until the runtime goes.
pub async fn serve(app: App) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A layer whose scope is the header `merchant`.
pub fn layer(idem: &Idempotency) -> Layer {
    layer_by(idem.clone(), |merchant| {
        Ok(Scope::new(merchant.unwrap_or("default"))?)
    })
}

/// A layer whose scope is made from the header `merchant`.
pub fn layer_by(idem: Idempotency, scope: fn(Option<&str>) -> Result<Scope, Rejection>) -> Layer {
    let layer = IdempotencyLayer::new(idem, move |parts| {
        let merchant = parts.headers.get("merchant");
        scope(merchant.map(|name| name.to_str().unwrap()))
    });
    layer.path_from(PathFrom::AsSeen)
}

/// A layer with knobs by the path.
pub fn layer_per_path(
    idem: &Idempotency,
    knobs: impl Fn(&str) -> Option<RouteKnobs> + Send + Sync + 'static,
) -> Layer {
    layer(idem).per_route(move |parts| knobs(parts.uri.path()))
}

/// A service whose requests bring knobs in their extensions.
pub fn serving_with<F>(
    knobs: RouteKnobs,
    layer: Layer,
    handler: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> App
where
    F: Future<Output = Response> + Send + 'static,
{
    serving(layer, handler).layer(Extension(knobs))
}

pub fn global_layer(idem: Idempotency) -> Layer {
    IdempotencyLayer::global(idem).path_from(PathFrom::AsSeen)
}

pub fn unauthorized() -> Rejection {
    StatusCode::UNAUTHORIZED.into()
}
