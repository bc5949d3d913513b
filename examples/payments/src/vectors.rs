//! The fixture of the HTTP vectors, behind the very layer, store and profiles of the API.
//!
//! What differs from the API: the caller is the header `X-Caller`, and problems stay problems under
//! Stripe's profile, because the cases are about idem's rules and not about this service's errors.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{OriginalUri, Request},
    http::{StatusCode, Uri},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use idem_core::{Context, Idempotency};
use idem_vectors::fixture::{Call, PROFILES, Shop, profile, scope};

use crate::{
    app::idempotency,
    merchant::{Merchant, unauthorized},
    problem::Problem,
};

/// The routes of `vectors/README.md`.
pub(crate) fn router(idem: &Idempotency) -> Router {
    let shop = Arc::new(Shop::new().with_trailers());
    let fixture = PROFILES.iter().fold(Router::new(), |router, name| {
        let routes = Router::new()
            .fallback(answer)
            .layer(idempotency(idem.clone(), profile(name)))
            .layer(middleware::from_fn(authenticate));
        router.nest(&format!("/{name}"), routes)
    });
    fixture
        .route("/control/{what}", get(control))
        .layer(Extension(shop))
}

async fn authenticate(mut request: Request, next: Next) -> Response {
    let caller = request.headers().get("x-caller");
    let caller = caller.map_or(Ok("default"), |caller| caller.to_str());
    match caller
        .ok()
        .filter(|name| scope(Some(name.as_bytes())).is_some())
    {
        Some(name) => {
            let merchant = Merchant::in_a_fixture(name);
            request.extensions_mut().insert(merchant);
            next.run(request).await
        }
        None => unauthorized(),
    }
}

async fn control(Extension(shop): Extension<Arc<Shop>>, uri: Uri) -> String {
    shop.control(&uri)
}

async fn answer(
    Extension(shop): Extension<Arc<Shop>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let context = head.extensions.get::<Context>();
    let protected = context.is_some_and(Context::is_protected);
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|error| Problem::unreadable(StatusCode::BAD_REQUEST, error.to_string()))?;
    let call = Call::new(uri, &head.headers, protected, body);
    Ok(shop.answer(call).await.map(Body::new))
}
