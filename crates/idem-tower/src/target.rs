//! [`RememberTarget`]: notes the path that the client asked for, before any router strips a prefix.

use std::task::{Context, Poll};

use http::Request;
use idem_http::driver::Target;
use tower_layer::Layer;
use tower_service::Service;

/// A layer to put outside of everything that rewrites URIs.
///
/// It puts a [`Target`] into the request's extensions. axum's nested routers rewrite URIs. They also
/// note the original, and the crate feature `axum` reads that note: with it, this layer is not
/// needed.
///
/// ```
/// use axum::{Router, routing::post};
/// use idem_tower::RememberTarget;
///
/// let v1: Router = Router::new().route("/payments", post(|| async { "paid" }));
/// let app: Router = Router::new().nest("/v1", v1).layer(RememberTarget);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RememberTarget;

impl<S> Layer<S> for RememberTarget {
    type Service = RememberTargetService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RememberTargetService { inner }
    }
}

/// The service of [`RememberTarget`].
#[derive(Debug, Clone)]
pub struct RememberTargetService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for RememberTargetService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if request.extensions().get::<Target>().is_none() {
            let target = Target(request.uri().clone());
            request.extensions_mut().insert(target);
        }
        self.inner.call(request)
    }
}
