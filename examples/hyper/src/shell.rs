//! The shell: all that an integration has to do.

use http_body_util::Either;
use hyper::{Request, Response, body::Incoming, http::request::Parts};
use idem::{
    Scope,
    http::driver::{
        Admission, Answer, AnswerBody, Begin, BoxError, Framed, Guard, Head, Rejection, Reply,
        Unprotected, Whole,
    },
};

/// What a handler gets: the body on its way, or as it was read for the fingerprint.
pub(crate) type In = Either<Incoming, Whole>;

/// What the client gets: the handler's own body, or the driver's.
pub(crate) type Out<B> = Either<B, AnswerBody>;

/// Serves one request through the guard. `scope` tells the verified caller.
///
/// # Errors
/// The handler's own.
pub(crate) async fn serve<H, F, B>(
    guard: Guard,
    scope: impl FnOnce(&Parts) -> Result<Scope, Rejection>,
    request: Request<Incoming>,
    handler: H,
) -> Result<Response<Out<B>>, BoxError>
where
    H: FnOnce(Request<In>) -> F,
    F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    B: hyper::body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (mut head, body) = request.into_parts();
    // Nothing rewrites URIs in here, so the one of the request is the one that the client sent.
    let uri = head.uri.clone();
    let seen = Head::from(&head).noted_by_framework(Some(&uri));
    let ticket = match guard.admit(&seen, || scope(&head)) {
        Admission::Protect(ticket) => ticket,
        Admission::Answer(answer) => return Ok(own(answer)),
        Admission::Pass => {
            let request = Request::from_parts(head, Either::Left(body));
            return Ok(handler(request).await?.map(Either::Left));
        }
        Admission::Unprotected(unprotected) => {
            unprotected.extend(&mut head.extensions);
            let request = Request::from_parts(head, Either::Left(body));
            return run_unprotected(guard, unprotected, handler(request)).await;
        }
    };
    match guard.begin(ticket, seen, Framed::new(body)).await {
        Begin::Answer(answer) => Ok(own(answer)),
        Begin::Pass(body) => {
            let request = Request::from_parts(head, Either::Right(body));
            Ok(handler(request).await?.map(Either::Left))
        }
        Begin::Unprotected(unprotected, body) => {
            unprotected.extend(&mut head.extensions);
            let request = Request::from_parts(head, Either::Right(body));
            run_unprotected(guard, unprotected, handler(request)).await
        }
        Begin::Run(run, body) => {
            run.extend(&mut head.extensions);
            let handling = handler(Request::from_parts(head, Either::Right(body)));
            let work = async { Ok(handling.await?.map(Framed::new)) };
            // On a task of its own: a client that hangs up cancels nothing.
            sent(guard.detach(|reply| run.drive(work, reply)).await)
        }
    }
}

async fn run_unprotected<B: Send + 'static>(
    guard: Guard,
    unprotected: Unprotected,
    handling: impl Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
) -> Result<Response<Out<B>>, BoxError> {
    let work = async { Ok(handling.await?.map(Framed::new)) };
    sent(guard.detach(|reply| unprotected.drive(work, reply)).await)
}

fn sent<B>(reply: Result<Reply<Framed<B>>, BoxError>) -> Result<Response<Out<B>>, BoxError> {
    Ok(match reply? {
        Reply::Answer(answer) => own(answer),
        Reply::Passed(response) => response.map(|framed| Either::Left(framed.into_inner())),
    })
}

fn own<B>(answer: Answer) -> Response<Out<B>> {
    answer.map(Either::Right)
}
