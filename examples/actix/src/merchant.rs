//! Who calls. A real service verifies the token; here it is the name.

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorUnauthorized,
    http::header::AUTHORIZATION,
    middleware::Next,
};
use idem::{Scope, actix::Rejection};

/// The verified caller, in the request's extensions.
#[derive(Clone)]
pub(crate) struct Merchant(pub(crate) String);

/// Authentication, outside of idempotency.
pub(crate) async fn authenticate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let header = request.headers().get(AUTHORIZATION);
    let token = header.and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
    let Some(name) = token.filter(|name| !name.is_empty()) else {
        return Err(ErrorUnauthorized("send a bearer token"));
    };
    let merchant = Merchant(name.to_owned());
    request.extensions_mut().insert(merchant);
    next.call(request).await
}

/// Whose keys they are.
pub(crate) fn scope(request: &ServiceRequest) -> Result<Scope, Rejection> {
    match request.extensions().get::<Merchant>() {
        Some(Merchant(name)) => Ok(Scope::new(name)?),
        None => Err(ErrorUnauthorized("no merchant").into()),
    }
}
