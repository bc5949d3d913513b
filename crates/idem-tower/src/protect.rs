//! What a request with a key goes through: its body is read, its key is claimed, and it is run or
//! answered for.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header, request::Parts};
use http_body::Body;
use idem_core::{Claim, ClaimError, Fingerprint, RecordKey};
use idem_http::{Code, Problem, RequestParts};
use tower_service::Service;

use crate::{
    RequestBody, ResponseBody,
    body::Whole,
    config::{Config, store_problem},
    detached::{Work, run_protected, run_unprotected},
    gather::{Gathered, gather, read_past},
    target::target,
};

/// How much of a body that is too large is read and thrown away: 8 MiB.
const READ_PAST: u64 = 8 << 20;

/// Claims the request's key, and runs the handler or answers for it.
///
/// All that the claim is made from is read before the handler can touch anything. The head is
/// boxed because it is handed down through several futures, each with room for all it is handed.
pub(crate) async fn protect<S, B, R>(
    inner: S,
    config: Arc<Config>,
    key: RecordKey,
    head: Box<Parts>,
    body: B,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let (body, print) = match read_body(&config, &head, body).await {
        Ok(read) => read,
        Err(problem) => return Ok(config.answer(problem).map(ResponseBody::read)),
    };
    let answer = match claim(&config, &key, &print, &head, &body.data).await {
        Ok(Claim::Acquired(execution)) => {
            let work = Work { inner, head, body };
            return run_protected(config, execution, work).await;
        }
        Ok(Claim::Replay(payload) | Claim::ReplayFailure(payload)) => config.replay(&payload),
        Ok(Claim::Mismatch) => {
            Err(Problem::new(Code::FingerprintMismatch).status(config.profile.mismatch))
        }
        Ok(Claim::InFlight { retry_after }) => {
            Err(Problem::new(Code::InFlight).retry_after(retry_after))
        }
        Ok(Claim::Abandoned { .. }) => Err(Problem::new(Code::OutcomeUnknown)),
        Ok(Claim::Exhausted { .. }) => Err(Problem::new(Code::AttemptsExhausted)),
        Err(error) => match config.idem.unprotected(&key, &print, &error) {
            Some(running) => {
                let work = Work { inner, head, body };
                return run_unprotected(config, running, work).await;
            }
            None => Err(store_problem(&error)),
        },
    };
    let answer = answer.unwrap_or_else(|problem| config.answer(problem));
    Ok(answer.map(ResponseBody::read))
}

/// Claims the key, by the current rules. Where these are a mismatch, the record may be of one of the
/// former rules that the route accepts: then it is claimed by those, and keeps its fingerprint.
async fn claim(
    config: &Config,
    key: &RecordKey,
    print: &Fingerprint,
    head: &Parts,
    body: &[u8],
) -> Result<Claim, ClaimError> {
    let claim = config.idem.claim(key, print).await?;
    if !matches!(claim, Claim::Mismatch) {
        return Ok(claim);
    }
    let rules = &config.profile.fingerprint;
    for former in rules.former_fingerprints(request_parts(head, body), *print) {
        match config.idem.claim(key, &former).await? {
            Claim::Mismatch => {}
            claim => return Ok(claim),
        }
    }
    Ok(Claim::Mismatch)
}

/// Reads the body, and makes the fingerprint of the whole request.
async fn read_body<B>(
    config: &Config,
    head: &Parts,
    body: B,
) -> Result<(Whole, Fingerprint), Problem>
where
    B: Body<Data = Bytes>,
{
    let limit = config.profile.request_limit;
    let mut body = pin!(body);
    match gather(body.as_mut(), limit).await {
        Gathered::Whole(whole) => {
            let print = fingerprint(config, head, &whole.data)?;
            Ok((whole, print))
        }
        Gathered::Outgrown(_) => {
            // Who waits to be asked for the body is told at once instead.
            if !head.headers.contains_key(header::EXPECT) {
                Box::pin(read_past(body, READ_PAST)).await;
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

fn fingerprint(config: &Config, head: &Parts, body: &[u8]) -> Result<Fingerprint, Problem> {
    config
        .profile
        .fingerprint
        .fingerprint(request_parts(head, body))
        .map_err(|why| Problem::new(Code::BodyNotCanonical).detail(format!("The body: {why}.")))
}

fn request_parts<'a>(head: &'a Parts, body: &'a [u8]) -> RequestParts<'a> {
    RequestParts {
        method: &head.method,
        target: target(head),
        headers: &head.headers,
        body,
    }
}
