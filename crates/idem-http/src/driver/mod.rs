//! The server's half, for an integration with a web framework to drive.
//!
//! It takes a request's head and body and says: pass it on, answer this, or run the handler and
//! finish with its answer. It decides everything that has to do with idempotency (scope, problems,
//! dispositions, streams, replay, transactions, detached runs), so a shell has nothing to decide.
//! It knows no framework and no body type, and its futures are `Send` where the shell's are.
//!
//! A shell, in order:
//!
//! 1. [`Guard::admit`] with the request's [`Head`], before the body is read.
//! 2. [`Guard::begin`] with the body, as a [`Source`]: it reads it, and claims the key.
//! 3. [`Run::extend`] the request's extensions, and call the handler with the body that was read.
//! 4. [`Run::drive`] that call to its end, on a task of its own by [`Guard::detach`]
//!    (or [`Guard::detach_local`], where futures are not `Send`).
//! 5. Send the [`Reply`].
//!
//! An [`Unprotected`] run goes the same way where [`Unprotected::is_driven`]; the example leaves
//! that out.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use idem_core::Scope;
//! use idem_http::driver::{
//!     Admission, AnswerBody, Begin, BoxError, Guard, Head, Reply, Whole,
//! };
//!
//! /// A shell for handlers that take and give whole bodies.
//! async fn serve<F>(
//!     guard: &Guard,
//!     request: Request<Bytes>,
//!     handler: impl FnOnce(Request<Bytes>) -> F,
//! ) -> Result<Response<AnswerBody>, BoxError>
//! where
//!     F: Future<Output = Result<Response<Bytes>, BoxError>> + Send + 'static,
//! {
//!     let whole = |response: Response<Bytes>| response.map(AnswerBody::from);
//!     let (mut head, body) = request.into_parts();
//!     let ticket = match guard.admit(&Head::from(&head), || Ok(Scope::global())) {
//!         Admission::Protect(ticket) => ticket,
//!         Admission::Answer(answer) => return Ok(answer),
//!         Admission::Pass => {
//!             return handler(Request::from_parts(head, body)).await.map(whole);
//!         }
//!         Admission::Unprotected(unprotected) => {
//!             unprotected.extend(&mut head.extensions);
//!             return handler(Request::from_parts(head, body)).await.map(whole);
//!         }
//!     };
//!     let (run, body) = match guard.begin(ticket, Head::from(&head), Whole::from(body)).await {
//!         Begin::Run(run, body) => (run, body),
//!         Begin::Answer(answer) => return Ok(answer),
//!         Begin::Pass(body) => {
//!             return handler(Request::from_parts(head, body.data)).await.map(whole);
//!         }
//!         Begin::Unprotected(unprotected, body) => {
//!             unprotected.extend(&mut head.extensions);
//!             return handler(Request::from_parts(head, body.data)).await.map(whole);
//!         }
//!     };
//!     run.extend(&mut head.extensions);
//!     let handling = handler(Request::from_parts(head, body.data));
//!     let work = async { Ok::<_, BoxError>(handling.await?.map(Whole::from)) };
//!     match guard.detach(move |reply| run.drive(work, reply)).await? {
//!         Reply::Answer(answer) => Ok(answer),
//!         Reply::Passed(response) => Ok(response.map(AnswerBody::from)),
//!     }
//! }
//! ```

mod admit;
mod begin;
mod body;
mod commit_with;
mod deadline;
mod detached;
mod ending;
mod finish;
#[cfg(feature = "http-body")]
mod framed;
mod guard;
mod head;
mod hold;
mod live;
mod read;
mod rejection;
mod route;
mod run;
mod unprotected;
mod verdict;

use http::Response;

pub use admit::{Admission, Ticket};
pub use begin::Begin;
pub use body::{AnswerBody, BoxError, Piece, Size, Source, Whole};
pub use commit_with::{CommitWith, NotTaken};
pub use detached::ReplyTo;
#[cfg(feature = "http-body")]
pub use framed::Framed;
pub use guard::Guard;
pub use head::{Head, PathFrom, Target};
pub use live::CutOff;
pub use read::LimitExceeded;
pub use rejection::Rejection;
pub use route::RouteKnobs;
pub use run::Run;
pub use unprotected::Unprotected;

/// An answer of the driver's: a replay, a problem, or the handler's answer with its body read.
pub type Answer = Response<AnswerBody>;

/// What the client gets of a handler that was run.
#[derive(Debug)]
pub enum Reply<S> {
    /// This.
    Answer(Answer),
    /// The handler's own answer, as it is: its connection was upgraded, or it ran unprotected.
    Passed(Response<S>),
}
