//! [`IdempotencyService`]: what a request goes through.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    RequestBody, ResponseBody, ResponseFuture,
    config::{Admission, Config},
    protect::protect,
};

/// The service of [`IdempotencyLayer`](crate::IdempotencyLayer).
#[derive(Clone)]
pub struct IdempotencyService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> IdempotencyService<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, B, R> Service<Request<B>> for IdempotencyService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.config.admit(&request) {
            Admission::Pass => {
                ResponseFuture::passing(self.inner.call(request.map(RequestBody::passed)))
            }
            Admission::Refuse(problem) => ResponseFuture::refused(self.config.answer(problem)),
            Admission::Protect(key) => {
                let (head, body) = request.into_parts();
                let scope = match (self.config.scope)(&head) {
                    Ok(scope) => scope,
                    Err(refusal) => return ResponseFuture::refused(refusal.into_response()),
                };
                // The one that was asked for readiness is the one to call.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let config = Arc::clone(&self.config);
                let (key, head) = (scope.key(&key), Box::new(head));
                ResponseFuture::guarded(protect(inner, config, key, head, body))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for IdempotencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyService")
            .field("inner", &self.inner)
            .field("config", &self.config)
            .finish()
    }
}
