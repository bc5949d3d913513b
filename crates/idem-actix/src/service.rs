//! [`IdempotencyService`]: what a request goes through.

use std::{fmt, rc::Rc};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use idem_http::driver::Admission;

use crate::{
    IdempotencyMiddleware,
    convert::{self, Seen},
    protect::{Answer, protect, run_unprotected},
};

/// The service of [`IdempotencyMiddleware`].
pub struct IdempotencyService<S> {
    inner: Rc<S>,
    middleware: IdempotencyMiddleware,
}

impl<S> IdempotencyService<S> {
    pub(crate) fn new(inner: Rc<S>, middleware: IdempotencyMiddleware) -> Self {
        Self { inner, middleware }
    }
}

impl<S, B> Service<ServiceRequest> for IdempotencyService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Answer<B>>;

    actix_web::dev::forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let guard = self.middleware.guard(&request);
        let Some(method) = convert::method(request.method()).filter(|it| guard.protects(it)) else {
            return pass(&*self.inner, request);
        };
        let Some(seen) = Seen::of(method, &request) else {
            return answered(request, HttpResponse::BadRequest().finish());
        };
        let admission = match self.middleware.admit(&guard, &seen, &request) {
            Ok(admission) => admission,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        match admission {
            Admission::Pass => pass(&*self.inner, request),
            Admission::Answer(answer) => {
                let response = convert::answer(None, answer);
                answered(request, response)
            }
            Admission::Unprotected(unprotected) => {
                convert::extend(request.request(), |facts| unprotected.extend(facts));
                match unprotected.is_driven() {
                    true => {
                        let (inner, guard) = (Rc::clone(&self.inner), guard.into_owned());
                        Box::pin(run_unprotected(inner, guard, unprotected, request))
                    }
                    false => pass(&*self.inner, request),
                }
            }
            Admission::Protect(ticket) => Box::pin(protect(
                Rc::clone(&self.inner),
                guard.into_owned(),
                ticket,
                seen,
                request,
            )),
        }
    }
}

/// Calls the handler as if there were no middleware.
fn pass<S, B>(inner: &S, request: ServiceRequest) -> LocalBoxFuture<'static, Answer<B>>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
{
    let handling = inner.call(request);
    async { Ok(handling.await?.map_into_left_body()) }.boxed_local()
}

fn answered<B: 'static>(
    request: ServiceRequest,
    response: HttpResponse,
) -> LocalBoxFuture<'static, Answer<B>> {
    let response = request.into_response(response).map_into_right_body();
    async { Ok(response) }.boxed_local()
}

impl<S: fmt::Debug> fmt::Debug for IdempotencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyService")
            .field("inner", &self.inner)
            .field("middleware", &self.middleware)
            .finish()
    }
}
