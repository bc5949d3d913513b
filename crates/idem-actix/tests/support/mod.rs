//! A payment service on actix-web, over loopback.
//!
//! Its handlers answer in axum's words, as those of the tower layer's tests do, so that both run the same
//! cases.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]

#[path = "../../../idem-tower/tests/support/calls.rs"]
mod calls;
#[path = "../../../idem-tower/tests/support/outage.rs"]
pub mod outage;
mod respond;
pub mod server;
#[path = "../../../idem-tower/tests/support/shop.rs"]
pub mod shop;
#[path = "../../../idem-tower/tests/support/table.rs"]
pub mod table;
#[path = "../../../idem-tower/tests/support/wire.rs"]
pub mod wire;

use actix_web::{App as ActixApp, HttpMessage, dev::Service, http::StatusCode, web};
use axum::{body::Body, response::Response};
use http::Request;
use http_body_util::BodyExt;
use idem_actix::{IdempotencyMiddleware, Rejection, RouteKnobs};
use idem_core::{Idempotency, Scope};

pub use calls::*;
use respond::respond;
pub use server::Server as App;

pub type Layer = IdempotencyMiddleware;

/// A service with one handler for every path and method.
pub fn serving<F>(layer: Layer, handler: impl Fn() -> F + Clone + Send + Sync + 'static) -> App
where
    F: Future<Output = Response> + Send + 'static,
{
    App::start(2, move |config| {
        let handler = handler.clone();
        let handler = move || {
            let answering = handler();
            async move { respond(answering.await) }
        };
        let scope = web::scope("").wrap(layer.clone());
        config.service(scope.default_service(web::to(handler)));
    })
}

/// Sends a request over a connection of its own.
pub async fn open(app: &App, request: Request<Body>) -> Response {
    wire::open(app.address(), request).await.map(Body::new)
}

/// Where it serves; it does so from now on until the process ends.
pub async fn serve(app: App) -> std::net::SocketAddr {
    let address = app.address();
    std::mem::forget(app);
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
    IdempotencyMiddleware::new(idem, move |request| {
        let merchant = request.headers().get("merchant");
        scope(merchant.map(|name| name.to_str().unwrap()))
    })
}

/// A layer with knobs by the path.
pub fn layer_per_path(
    idem: &Idempotency,
    knobs: impl Fn(&str) -> Option<RouteKnobs> + Send + Sync + 'static,
) -> Layer {
    layer(idem).per_route(move |request| knobs(request.path()))
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
    App::start(1, move |config| {
        let (handler, knobs) = (handler.clone(), knobs.clone());
        let handler = move || {
            let answering = handler();
            async move { respond(answering.await) }
        };
        let scope = web::scope("").wrap(layer.clone());
        let scope = scope.wrap_fn(move |request, inner| {
            request.extensions_mut().insert(knobs.clone());
            inner.call(request)
        });
        config.service(scope.default_service(web::to(handler)));
    })
}

pub fn global_layer(idem: Idempotency) -> Layer {
    IdempotencyMiddleware::global(idem)
}

pub fn unauthorized() -> Rejection {
    StatusCode::UNAUTHORIZED.into()
}
