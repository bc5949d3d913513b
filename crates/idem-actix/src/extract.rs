//! What a handler takes: [`Running`] and [`CommitWith`].

use std::{fmt, ops::Deref};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, ResponseError, dev::Payload, http::StatusCode,
};
use futures_util::future::{Ready, ready};
use idem_core::{Context, spi::OpenTransaction};
use idem_http::driver;

/// An extractor of the facts of the execution that a handler runs in: the attempt, the checkpoint of
/// an execution that vanished, `derive_key`.
///
/// ```
/// use idem_actix::Running;
///
/// async fn pay(running: Running) -> String {
///     // A stable key to hand to the next API downstream.
///     format!("charged under {:?}", running.derive_key("charge"))
/// }
/// ```
///
/// Where a request may come without a key, [`is_protected`](Context::is_protected) says whether it
/// has one. On methods that the middleware ignores, such as GET, there is nothing to extract: the
/// answer is a 500, or `None` for an `Option<Running>`.
#[derive(Debug, Clone)]
pub struct Running(Context);

impl Running {
    /// The context itself, to hand on.
    #[must_use]
    pub fn into_inner(self) -> Context {
        self.0
    }
}

impl Deref for Running {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl FromRequest for Running {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension(request).map(Self))
    }
}

/// An extractor of the place where a handler hands its transaction over, to be committed together
/// with the stored answer (G7). It is there behind a middleware with
/// [`transactions`](crate::IdempotencyMiddleware::transactions).
///
/// A final answer commits what the handler wrote, whatever its status. An answer that lets the next
/// request run, a middleware's error of that kind and a panic roll it back. Where the request runs
/// unprotected (without a key, or while the store is out of reach under `FailOpen`), a final answer
/// commits the transaction alone.
///
/// ```
/// use actix_web::{Error, HttpResponse};
/// use idem_actix::CommitWith;
/// # use idem_core::spi::OpenTransaction;
///
/// # async fn example<T: OpenTransaction>(begin: impl AsyncFn() -> T, commit_with: CommitWith)
/// # -> Result<HttpResponse, Error> {
/// let transaction = begin().await; // such as `idem_postgres::OpenTx`, with a row in it
/// commit_with.hand_over(transaction)?;
/// Ok(HttpResponse::Created().finish())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CommitWith(driver::CommitWith);

impl CommitWith {
    /// Hands a transaction over. All that is left to do is to answer.
    ///
    /// # Errors
    /// [`NotTaken`] when there was one before, or the handler is over: the transaction was dropped,
    /// which rolls back what was written.
    pub fn hand_over(&self, transaction: impl OpenTransaction) -> Result<(), NotTaken> {
        self.0.hand_over(transaction).map_err(NotTaken)
    }
}

impl FromRequest for CommitWith {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(extension(request).map(Self))
    }
}

/// Why a transaction was not taken. It was rolled back. As an answer it is a 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken(pub driver::NotTaken);

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NotTaken {}

impl ResponseError for NotTaken {}

/// A handler asks for what no middleware left.
#[derive(Debug)]
struct Missing;

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the idempotency of this route is not set up")
    }
}

impl ResponseError for Missing {
    fn status_code(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

fn extension<T: Clone + 'static>(request: &HttpRequest) -> Result<T, Error> {
    let found = request.extensions().get::<T>().cloned();
    found.ok_or_else(|| {
        tracing::error!(
            wanted = std::any::type_name::<T>(),
            "a handler wants what an IdempotencyMiddleware leaves, and there is none around it, its \
             method is not protected, or (CommitWith) it was made without `transactions()`"
        );
        Missing.into()
    })
}
