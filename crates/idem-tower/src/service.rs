//! [`IdempotencyService`]: what a request goes through.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use idem_http::driver::{Admission, BoxError};
use tower_service::Service;

use crate::{
    IdempotencyLayer, RequestBody, ResponseBody, ResponseFuture,
    protect::{protect, run_unprotected},
};

/// The service of [`IdempotencyLayer`].
#[derive(Debug, Clone)]
pub struct IdempotencyService<S> {
    inner: S,
    layer: IdempotencyLayer,
}

impl<S> IdempotencyService<S> {
    pub(crate) fn new(inner: S, layer: IdempotencyLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S, B, R> Service<Request<B>> for IdempotencyService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let guard = self.layer.guard(&parts);
        let admission = self.layer.admit(&guard, &parts);
        match admission {
            Admission::Answer(answer) => return ResponseFuture::answered(answer),
            Admission::Pass => {}
            Admission::Unprotected(unprotected) if unprotected.is_driven() => {
                let (guard, inner) = (guard.into_owned(), self.take_ready());
                let body = RequestBody::passed(body);
                let context = run_unprotected(inner, guard, unprotected, Box::new(parts), body);
                return ResponseFuture::guarded(context);
            }
            Admission::Unprotected(unprotected) => unprotected.extend(&mut parts.extensions),
            Admission::Protect(ticket) => {
                let (guard, inner) = (guard.into_owned(), self.take_ready());
                let context = protect(inner, guard, ticket, Box::new(parts), body);
                return ResponseFuture::guarded(context);
            }
        }
        let request = Request::from_parts(parts, RequestBody::passed(body));
        ResponseFuture::passing(self.inner.call(request))
    }
}

impl<S: Clone> IdempotencyService<S> {
    /// The service that was asked for readiness is the one to call.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}
