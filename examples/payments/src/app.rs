//! Where everything is put together: routes, callers, and the one layer this example is about.

use std::sync::Arc;

use axum::{
    Router,
    http::{StatusCode, Uri, request::Parts},
    middleware,
    routing::{get, post},
};
use idem_core::Idempotency;
use idem_tower::IdempotencyLayer;

use crate::{
    cli::{Args, Profile},
    ledger::Ledger,
    merchant::{self, Merchant},
    page, payments,
    problem::Problem,
    refunds, stripe,
};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) ledger: Arc<Ledger>,
}

/// The whole service.
pub(crate) fn router(idem: Idempotency, ledger: Ledger, args: &Args) -> Router {
    let app = App {
        ledger: Arc::new(ledger),
    };
    let api = match args.profile {
        Profile::Stripe => api()
            .route_layer(middleware::from_fn(stripe::forms))
            .route_layer(middleware::from_fn(stripe::errors)),
        Profile::Seed | Profile::Ietf => api(),
    };
    let service = api
        // A layer that is added later stands further out: authentication comes first, because the
        // idempotency layer has to know whose key it is.
        .route_layer(idempotency(idem, args.http_profile()))
        .route_layer(middleware::from_fn(merchant::authenticate))
        .merge(page::router())
        .fallback(no_such_path)
        .method_not_allowed_fallback(async || Problem::method_not_allowed());
    let service = match args.profile {
        Profile::Stripe => service.layer(middleware::from_fn(stripe::errors)),
        Profile::Seed | Profile::Ietf => service,
    };
    service.with_state(app)
}

fn api() -> Router<App> {
    let payment = get(payments::show)
        .patch(payments::describe)
        .put(payments::describe)
        .delete(payments::void);
    Router::new()
        .route("/v1/payments", post(payments::create).get(payments::list))
        .route("/v1/payments/{id}", payment)
        .route("/v1/refunds", post(refunds::create).get(refunds::list))
        .route("/v1/refunds/{id}", get(refunds::show))
}

/// All that it takes to charge once: whose key it is, and which rules to speak.
pub(crate) fn idempotency(idem: Idempotency, profile: idem_http::Profile) -> IdempotencyLayer {
    let scope = |request: &Parts| match request.extensions.get::<Merchant>() {
        Some(merchant) => Ok(merchant.scope()?),
        None => Err(StatusCode::UNAUTHORIZED.into()),
    };
    IdempotencyLayer::new(idem, scope)
        .profile(profile)
        .transactions()
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("There is nothing at {}", uri.path()))
}
