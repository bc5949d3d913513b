//! [`Guard::begin`]: the body is read, and the key is claimed.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use http::{StatusCode, header};
use idem_core::{
    Claim, Fingerprint, IdempotencyKey, RecordKey, Refused, error::ClaimError,
    store::StoreErrorKind,
};

use super::{
    Answer, Guard, Head, Run, Source, Ticket, Unprotected, Whole,
    admit::{Kind, is_own_claim},
    deadline::Deadline,
    guard::STORE_RETRY_AFTER,
    read::{LimitExceeded, Read, read, read_past},
};
use crate::{Code, Problem, RequestParts, canonical_json::unique::Unique};

/// How much of a body that is too large is read and thrown away: 8 MiB.
const READ_PAST: u64 = 8 << 20;

/// What becomes of a request with a key.
#[derive(Debug)]
pub enum Begin {
    /// Call the handler with the body that was read, and [`drive`](Run::drive) that.
    Run(Run, Whole),
    /// Call the handler with the body that was read, and [`drive`](Unprotected::drive) that: the
    /// store is out of reach and the policy says to, or the key is in the body and is not there.
    Unprotected(Unprotected, Whole),
    /// Call the handler with the body that was read: an idempotency layer further out holds this
    /// very key.
    Pass(Whole),
    /// Answer this.
    Answer(Answer),
}

impl Guard {
    /// Reads the body, makes the fingerprint, and claims the key. All that the claim is made from
    /// is read before the handler can touch anything.
    ///
    /// # Cancel safety
    /// Dropping the future takes back, in the background, a claim that may have gone through.
    pub async fn begin<S: Source>(&self, ticket: Ticket, head: Head<'_>, body: S) -> Begin {
        match self.try_begin(ticket, head, body).await {
            Ok(begin) => begin,
            Err(problem) => Begin::Answer(self.refuse(problem)),
        }
    }

    async fn try_begin<S: Source>(
        &self,
        ticket: Ticket,
        head: Head<'_>,
        body: S,
    ) -> Result<Begin, Problem> {
        self.has_room()?;
        let body = self.read_body(&head, body).await?;
        let key = match ticket.0 {
            Kind::Key(key) => key,
            Kind::Scope(scope) => match self.key_from_body(&body)? {
                Some(key) => scope.key(&key),
                None if self.0.profile.required => return Err(self.key_missing()),
                None => return Ok(Begin::Unprotected(self.without_key(), body)),
            },
        };
        if is_own_claim(&head, &key) {
            return Ok(Begin::Pass(body));
        }
        let print = self.fingerprint(&head, &body)?;
        self.claim(key, print, &head, body).await
    }

    /// Whether one more handler may run on a task of its own.
    pub(super) fn has_room(&self) -> Result<(), Problem> {
        let limit = self.0.profile.abandoned_limit;
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        match self.0.tally.abandoned.load(Ordering::Relaxed) < limit {
            true => Ok(()),
            false => Err(Problem::new(Code::Overloaded).retry_after(STORE_RETRY_AFTER)),
        }
    }

    async fn claim(
        &self,
        key: RecordKey,
        print: Fingerprint,
        head: &Head<'_>,
        body: Whole,
    ) -> Result<Begin, Problem> {
        let idem = &self.0.idem;
        let (claim, print) = match idem.claim(&key, &print).await {
            Ok(Claim::Refused(Refused::Mismatch)) => {
                self.claim_by_former(&key, print, head, &body).await?
            }
            Ok(claim) => (claim, print),
            Err(error) => {
                return match idem.unprotected(&key, &print, &error) {
                    Some(context) => Ok(Begin::Unprotected(self.degraded(context), body)),
                    None => Err(store_problem(&error)),
                };
            }
        };
        match claim {
            Claim::Acquired(execution) => {
                Ok(Begin::Run(Run::new(self.clone(), execution, print), body))
            }
            Claim::Replay(payload) | Claim::ReplayFailure(payload) => {
                self.replay(&payload).map(Begin::Answer)
            }
            Claim::Refused(Refused::Mismatch) => {
                let problem = Problem::new(Code::FingerprintMismatch);
                Err(problem.status(self.0.profile.mismatch))
            }
            Claim::Refused(Refused::InFlight { retry_after }) => {
                Ok(Begin::Answer(self.busy(&key, &print, retry_after).await))
            }
            Claim::Refused(Refused::Abandoned { .. }) => Err(Problem::new(Code::OutcomeUnknown)),
            Claim::Refused(Refused::Exhausted { .. }) => Err(Problem::new(Code::AttemptsExhausted)),
        }
    }

    /// Claims a key whose record is a mismatch by the current rules, by the former ones that the
    /// route accepts. The record keeps the fingerprint that it has, which is given back.
    ///
    /// Where the store is out of reach the request never runs unprotected: its key has a record.
    async fn claim_by_former(
        &self,
        key: &RecordKey,
        current: Fingerprint,
        head: &Head<'_>,
        body: &Whole,
    ) -> Result<(Claim, Fingerprint), Problem> {
        let request = self.request_parts(head, body)?;
        let rules = &self.0.profile.fingerprint;
        for former in rules.former_fingerprints(request, current) {
            match self.0.idem.claim(key, &former).await {
                Ok(Claim::Refused(Refused::Mismatch)) => {}
                Ok(claim) => return Ok((claim, former)),
                Err(error) => return Err(store_problem(&error)),
            }
        }
        Ok((Claim::Refused(Refused::Mismatch), current))
    }

    async fn read_body<S: Source>(&self, head: &Head<'_>, body: S) -> Result<Whole, Problem> {
        let limit = self.0.profile.request_limit;
        let mut body = pin!(body);
        let time = self.0.profile.request_time;
        let deadline = Deadline::after(time);
        let read = deadline.bound(read(body.as_mut(), limit)).await;
        match read.unwrap_or(Read::Late) {
            Read::Whole(whole) => Ok(whole),
            Read::Late => Err(late(time)),
            Read::Outgrown => {
                // Who waits to be asked for the body is told at once instead.
                if !head.headers.contains_key(header::EXPECT) {
                    Box::pin(deadline.bound(read_past(body, READ_PAST))).await;
                }
                Err(Problem::new(Code::BodyTooLarge).detail(format!(
                    "A request with an idempotency key takes at most {limit} bytes here. It did \
                     not run."
                )))
            }
            Read::Broken(error) if LimitExceeded::is_behind(&*error) => {
                Err(Problem::new(Code::BodyTooLarge))
            }
            Read::Broken(_) => Err(Problem::new(Code::BodyUnreadable)),
        }
    }

    /// A member that is there twice is refused: whoever reads the other one has another key.
    fn key_from_body(&self, body: &Whole) -> Result<Option<IdempotencyKey>, Problem> {
        let Some(pointer) = &self.0.key_pointer else {
            return Ok(None);
        };
        let malformed = |why: &str| {
            let detail = format!("The JSON body's {pointer} is no key: {why}.");
            Problem::new(Code::KeyMalformed).detail(detail)
        };
        let value = match serde_json::from_slice::<Unique>(&body.data) {
            Ok(Unique(value)) => value,
            // Whether a key was meant is not known, and who sent one must not run unprotected.
            Err(_) if body.data.is_empty() => return Ok(None),
            Err(_) => return Err(malformed("the body is not JSON with each member once")),
        };
        match value.pointer(pointer) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(serde_json::Value::String(key)) => {
                let key = IdempotencyKey::new(key.as_str());
                key.map(Some).map_err(|why| malformed(&why.to_string()))
            }
            Some(_) => Err(malformed("it is not a string")),
        }
    }

    fn fingerprint(&self, head: &Head<'_>, body: &Whole) -> Result<Fingerprint, Problem> {
        let request = self.request_parts(head, body)?;
        let rules = &self.0.profile.fingerprint;
        rules
            .fingerprint(request)
            .map_err(|why| Problem::new(Code::BodyNotCanonical).detail(format!("The body: {why}.")))
    }

    fn request_parts<'a>(
        &self,
        head: &Head<'a>,
        body: &'a Whole,
    ) -> Result<RequestParts<'a>, Problem> {
        let target = head.target(self.0.path_from);
        Ok(RequestParts {
            method: head.method,
            target: target.ok_or_else(|| Problem::new(Code::Misconfigured))?,
            headers: head.headers,
            body: &body.data,
        })
    }
}

/// A sender who waits for an answer before it sends more, as in a stream that converses, would wait for
/// ever.
fn late(time: Option<Duration>) -> Problem {
    let detail = format!(
        "A request with an idempotency key has to arrive whole, within {} s. It did not run.",
        time.unwrap_or_default().as_secs_f32()
    );
    Problem::new(Code::BodyUnreadable)
        .status(StatusCode::REQUEST_TIMEOUT)
        .detail(detail)
}

/// The store gave no answer to a claim.
fn store_problem(error: &ClaimError) -> Problem {
    use StoreErrorKind::{Config, Corrupt, Full, TooLarge, Unavailable, Unknown};

    match error.source.kind() {
        Unavailable | Unknown | Full => {
            tracing::warn!(%error, "a request was refused");
            Problem::new(Code::StoreUnavailable).retry_after(STORE_RETRY_AFTER)
        }
        Config => {
            tracing::error!(%error, "a request was refused");
            Problem::new(Code::Misconfigured)
        }
        Corrupt | TooLarge => {
            tracing::error!(%error, "a request was refused");
            Problem::new(Code::RecordUnreadable)
        }
    }
}
