//! What a request with a key goes through, on the driver.

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use idem_http::driver::{Begin, BoxError, Framed, Guard, Reply, Ticket, Unprotected};
use tower_service::Service;

use crate::{RequestBody, ResponseBody, layer::head};

type Answered<R, E> = Result<Response<ResponseBody<R>>, E>;

/// Claims the request's key, and runs the handler or answers for it.
///
/// The head is boxed because it is handed down through several futures, each with room for all it
/// is handed.
pub(crate) async fn protect<S, B, R>(
    mut inner: S,
    guard: Guard,
    ticket: Ticket,
    mut parts: Box<Parts>,
    body: B,
) -> Answered<R, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    match guard.begin(ticket, head(&parts), Framed::new(body)).await {
        Begin::Answer(answer) => Ok(answer.map(ResponseBody::driven)),
        Begin::Pass(body) => {
            let request = Request::from_parts(*parts, RequestBody::driven(body));
            Ok(inner.call(request).await?.map(ResponseBody::passed))
        }
        Begin::Unprotected(unprotected, body) => {
            run_unprotected(inner, guard, unprotected, parts, RequestBody::driven(body)).await
        }
        Begin::Run(run, body) => {
            run.extend(&mut parts.extensions);
            let request = Request::from_parts(*parts, RequestBody::driven(body));
            let work = async move { Ok(inner.call(request).await?.map(Framed::new)) };
            sent(guard.detach(|reply| run.drive(work, reply)).await)
        }
    }
}

/// Runs the handler without a record.
pub(crate) async fn run_unprotected<S, B, R>(
    mut inner: S,
    guard: Guard,
    unprotected: Unprotected,
    mut parts: Box<Parts>,
    body: RequestBody<B>,
) -> Answered<R, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: Send + 'static,
{
    unprotected.extend(&mut parts.extensions);
    let request = Request::from_parts(*parts, body);
    let work = async move { Ok(inner.call(request).await?.map(Framed::new)) };
    sent(guard.detach(|reply| unprotected.drive(work, reply)).await)
}

fn sent<R, E>(reply: Result<Reply<Framed<R>>, E>) -> Answered<R, E> {
    Ok(match reply? {
        Reply::Answer(answer) => answer.map(ResponseBody::driven),
        Reply::Passed(response) => response.map(|framed| ResponseBody::passed(framed.into_inner())),
    })
}
