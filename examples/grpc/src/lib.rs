//! Payments over gRPC: a tonic service whose calls happen once, and a client that repeats them.

pub mod payments;
pub mod wire;

use bytes::Bytes;
use http::request::Parts;
use idem::{
    Idempotency, Scope,
    tower::{IdempotencyLayer, KeyRule, Profile, Rejection},
};
use payments::Payments;
use tonic::{
    Request, Status,
    service::InterceptorLayer,
    transport::{self, Server, server::TcpIncoming},
};

/// The verified caller of a call.
#[derive(Debug, Clone)]
struct Merchant(String);

/// Verifies the caller: here, a token that says who he is.
#[allow(
    clippy::result_large_err,
    reason = "tonic's interceptors are like this"
)]
fn authenticate(mut call: Request<()>) -> Result<Request<()>, Status> {
    let token = call.metadata().get("authorization");
    let token = token.and_then(|token| token.to_str().ok());
    let merchant = token.and_then(|token| token.strip_prefix("Bearer "));
    let merchant = merchant.ok_or_else(|| Status::unauthenticated("send a token"))?;
    let merchant = Merchant(merchant.to_owned());
    call.extensions_mut().insert(merchant);
    Ok(call)
}

/// A key belongs to the merchant who sends it.
fn scope(parts: &Parts) -> Result<Scope, Rejection> {
    match parts.extensions.get::<Merchant>() {
        Some(Merchant(name)) => Ok(Scope::new(name)?),
        None => Err(Status::internal("no interceptor")
            .into_http::<Bytes>()
            .into()),
    }
}

/// Serves `payments` until the process ends.
///
/// # Errors
/// The server's.
pub async fn serve(
    incoming: TcpIncoming,
    idem: Idempotency,
    payments: Payments,
) -> Result<(), transport::Error> {
    let profile = Profile::grpc().grpc_method(wire::LIST, KeyRule::Ignored);
    Server::builder()
        .layer(InterceptorLayer::new(authenticate))
        .layer(IdempotencyLayer::grpc(idem, scope).profile(profile))
        .add_service(payments)
        .serve_with_incoming(incoming)
        .await
}
