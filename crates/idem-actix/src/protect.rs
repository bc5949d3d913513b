//! What a request with a key goes through, on the driver.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    rt,
};
use http::Response;
use idem_http::driver::{Begin, Guard, Reply, Run, Ticket, Unprotected, Whole};

use crate::{
    body::{Made, Received, payload},
    convert::{self, Seen},
    rejection::Instead,
};

pub(crate) type Answer<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

/// Claims the request's key, and runs the handler or answers for it.
pub(crate) async fn protect<S, B>(
    inner: Rc<S>,
    guard: Guard,
    ticket: Ticket,
    seen: Seen,
    request: ServiceRequest,
) -> Answer<B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let (request, body) = request.into_parts();
    let body = Received::new(request.headers(), body);
    let begun = guard.begin(ticket, seen.head(), body).await;
    let with = |body: Whole, request| ServiceRequest::from_parts(request, payload(body.data));
    match begun {
        Begin::Answer(answer) => {
            let response = convert::answer(None, answer).map_into_right_body();
            Ok(ServiceResponse::new(request, response))
        }
        Begin::Pass(body) => {
            let handling = inner.call(with(body, request));
            Ok(handling.await?.map_into_left_body())
        }
        Begin::Unprotected(unprotected, body) => {
            convert::extend(&request, |facts| unprotected.extend(facts));
            run_unprotected(inner, guard, unprotected, with(body, request)).await
        }
        Begin::Run(run, body) => {
            convert::extend(&request, |facts| run.extend(facts));
            run_protected(inner, guard, run, with(body, request)).await
        }
    }
}

async fn run_protected<S, B>(
    inner: Rc<S>,
    guard: Guard,
    run: Run,
    request: ServiceRequest,
) -> Answer<B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let kept = Kept::default();
    let work = handle(inner, request, kept.clone());
    let run = |reply| run.drive(work, reply);
    let Ok(reply) = guard.detach_local(run, |task| drop(rt::spawn(task))).await;
    kept.answer(reply)
}

/// Runs the handler without a record.
pub(crate) async fn run_unprotected<S, B>(
    inner: Rc<S>,
    guard: Guard,
    unprotected: Unprotected,
    request: ServiceRequest,
) -> Answer<B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let kept = Kept::default();
    let work = handle(inner, request, kept.clone());
    let run = |reply| unprotected.drive(work, reply);
    let Ok(reply) = guard.detach_local(run, |task| drop(rt::spawn(task))).await;
    kept.answer(reply)
}

/// The handler's answer as the driver reads it. An error of a middleware further in is an answer like
/// any other: it has a status, headers and a body.
async fn handle<S, B>(
    inner: Rc<S>,
    request: ServiceRequest,
    kept: Kept,
) -> Result<Response<Made<EitherBody<B>>>, Infallible>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let (request, response) = match inner.call(request).await {
        Ok(answered) => {
            let (request, response) = answered.into_parts();
            (Some(request), response.map_into_left_body())
        }
        Err(error) => (None, HttpResponse::from_error(error).map_into_right_body()),
    };
    let (head, body) = response.into_parts();
    let answer = convert::own_head(&head).map(|()| Made { body });
    kept.0.replace(Rest {
        request,
        head: Some(head),
    });
    Ok(answer)
}

/// What actix-web needs of a handler's answer beside what the driver reads. Empty where no answer came.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Rest>>);

#[derive(Default)]
struct Rest {
    /// The handler had it.
    request: Option<HttpRequest>,
    /// It has more than headers.
    head: Option<HttpResponse<()>>,
}

impl Kept {
    fn answer<B: MessageBody + 'static>(self, reply: Reply<Made<EitherBody<B>>>) -> Answer<B> {
        let Rest { request, head } = self.0.take();
        let response = match reply {
            Reply::Answer(answer) => convert::answer(head, answer).map_into_right_body(),
            Reply::Passed(response) => {
                let (parts, made) = response.into_parts();
                convert::head_back(head, &Response::from_parts(parts, ())).set_body(made.body)
            }
        };
        match request {
            Some(request) => Ok(ServiceResponse::new(request, response)),
            // The request went with the handler. actix-web makes the answer of the error.
            None => Err(Instead::of(response.map_into_boxed_body()).into()),
        }
    }
}
