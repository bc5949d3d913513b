//! [`IdempotencyService`]: what a request goes through.

use std::{
    fmt, mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header, request::Parts};
use http_body::Body;
use idem_core::{Claim, Fingerprint, IdempotencyKey, RecordKey};
use idem_http::{Code, Problem, RequestParts};
use tower_service::Service;

use crate::{
    Refusal, RequestBody, ResponseBody, ResponseFuture,
    body::Whole,
    config::{Admission, Config, store_problem},
    detached::{Work, run_protected, run_unprotected},
    gather::{Gathered, gather, read_past},
    target::target,
};

/// How much of a body that is too large is read and thrown away: 8 MiB.
const READ_PAST: u64 = 8 << 20;

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
                // The one that was asked for readiness is the one to call.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let config = Arc::clone(&self.config);
                ResponseFuture::guarded(protect(inner, config, key, request))
            }
        }
    }
}

/// Claims the request's key, and runs the handler or answers for it.
async fn protect<S, B, R>(
    inner: S,
    config: Arc<Config>,
    key: IdempotencyKey,
    request: Request<B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let Intake {
        key,
        fingerprint,
        request,
    } = match intake(&config, &key, request).await {
        Ok(intake) => intake,
        Err(refusal) => return Ok(refusal.into_response().map(ResponseBody::read)),
    };
    let work = Work { inner, request };
    let answer = match config.idem.claim(&key, &fingerprint).await {
        Ok(Claim::Acquired(execution)) => return run_protected(config, execution, work).await,
        Ok(Claim::Replay(payload) | Claim::ReplayFailure(payload)) => config.replay(&payload),
        Ok(Claim::InFlight { retry_after }) => {
            Err(Problem::new(Code::InFlight).retry_after(retry_after))
        }
        Ok(Claim::Mismatch) => {
            let status = config.profile.mismatch;
            Err(Problem::new(Code::FingerprintMismatch).status(status))
        }
        Ok(Claim::Abandoned { .. }) => Err(Problem::new(Code::OutcomeUnknown)),
        Ok(Claim::Exhausted { .. }) => Err(Problem::new(Code::AttemptsExhausted)),
        Err(error) => match config.idem.unprotected(&key, &fingerprint, &error) {
            Some(running) => return run_unprotected(config, running, work).await,
            None => Err(store_problem(&error)),
        },
    };
    let answer = answer.unwrap_or_else(|problem| config.answer(problem));
    Ok(answer.map(ResponseBody::read))
}

/// A request with all that its claim needs, read before the handler can touch anything.
struct Intake<B> {
    key: RecordKey,
    fingerprint: Fingerprint,
    request: Request<RequestBody<B>>,
}

async fn intake<B>(
    config: &Config,
    key: &IdempotencyKey,
    request: Request<B>,
) -> Result<Intake<B>, Refusal>
where
    B: Body<Data = Bytes>,
{
    let (parts, body) = request.into_parts();
    let scope = (config.scope)(&parts)?;
    let fail = |problem| Refusal::from(config.answer(problem));
    let body = read_body(config, &parts, body).await.map_err(fail)?;
    let fingerprint = fingerprint(config, &parts, &body.data).map_err(fail)?;
    Ok(Intake {
        key: scope.key(key),
        fingerprint,
        request: Request::from_parts(parts, RequestBody::read(body)),
    })
}

async fn read_body<B>(config: &Config, parts: &Parts, body: B) -> Result<Whole, Problem>
where
    B: Body<Data = Bytes>,
{
    let limit = config.profile.request_limit;
    let mut body = pin!(body);
    match gather(body.as_mut(), limit).await {
        Gathered::Whole(whole) => Ok(whole),
        Gathered::Outgrown(_) => {
            // Who waits to be asked for the body is told at once instead.
            if !parts.headers.contains_key(header::EXPECT) {
                read_past(body, READ_PAST).await;
            }
            Err(too_large(limit))
        }
        Gathered::Broken(..) => Err(Problem::new(Code::BodyUnreadable)),
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge).detail(format!(
        "A request with an idempotency key takes at most {limit} bytes here. It did not run."
    ))
}

fn fingerprint(config: &Config, parts: &Parts, body: &[u8]) -> Result<Fingerprint, Problem> {
    let request = RequestParts {
        method: &parts.method,
        target: target(parts),
        headers: &parts.headers,
        body,
    };
    config
        .profile
        .fingerprint
        .fingerprint(request)
        .map_err(|why| Problem::new(Code::BodyNotCanonical).detail(format!("The body: {why}.")))
}

impl<S: fmt::Debug> fmt::Debug for IdempotencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyService")
            .field("inner", &self.inner)
            .field("config", &self.config)
            .finish()
    }
}
