//! How an execution ends, and what its caller is told where that is not the handler's answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, response::Parts};
use idem_core::{
    Context, Execution, Fingerprint, OnPanic, RecordKey, Timestamp,
    error::{CommitError, Superseded},
    machine::Ending,
    spi::{OpenTransaction, Stopped},
    store::{State, Stored},
};

use super::{Answer, AnswerBody, Guard, Whole, guard::STORE_RETRY_AFTER, hold::Held};
use crate::{
    Code, Disposition, IDEMPOTENCY_DEGRADED, Problem, StoredResponse, encode_answer,
    headers::{drop_body_headers, keeps_trailer},
};

/// A body below this is no reason for a store to refuse an answer: 1 KiB.
const SMALL: usize = 1 << 10;

/// An ending, and what to store in its place when the store refuses it for good: the answer without
/// its body.
pub(super) struct ToStore {
    pub(super) ending: Ending,
    pub(super) fallback: Option<Ending>,
}

/// An execution's key and request, for when it ends.
#[derive(Debug)]
pub(super) struct Ender {
    pub(super) guard: Guard,
    pub(super) context: Context,
    pub(super) print: Fingerprint,
}

impl Ender {
    /// Stores an answer. `Err` is what to answer instead.
    pub(super) async fn record(
        &self,
        execution: Execution,
        transaction: Option<Box<dyn OpenTransaction>>,
        ToStore { ending, fallback }: ToStore,
    ) -> Result<(), Answer> {
        let recorded = match (transaction, fallback) {
            (Some(transaction), _) => match transaction.end(execution, ending).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Superseded(superseded)) => Err(superseded),
                Err(error) => return Err(self.guard.not_committed(&error)),
            },
            (None, Some(fallback)) => execution.end_or(ending, fallback).await,
            (None, None) => execution.end(ending).await,
        };
        match recorded {
            Ok(_) => Ok(()),
            Err(Superseded) => Err(Box::pin(self.superseded()).await),
        }
    }

    /// Stores an answer as far as it was read. `Err` is what to answer instead.
    pub(super) async fn store(
        &self,
        execution: Execution,
        transaction: Option<Box<dyn OpenTransaction>>,
        disposition: Disposition,
        head: &Parts,
        read: &Held,
    ) -> Result<(), Answer> {
        let limit = self.guard.0.profile.response_limit;
        let disposition = match read {
            Held::Whole(whole) if self.guard.asks_trailers(head) => self.guard.by_trailers(whole),
            _ => disposition,
        };
        let body = match (disposition, read) {
            (Disposition::Final, Held::Whole(whole)) if whole.data.len() <= limit => Some(whole),
            // A body that broke off is not worth replaying, but its request ran.
            _ => None,
        };
        let to_store = self.ending(disposition, head.status, &head.headers, body);
        self.record(execution, transaction, to_store).await
    }

    pub(super) fn ending(
        &self,
        disposition: Disposition,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Whole>,
    ) -> ToStore {
        let ending = match disposition {
            Disposition::Retryable => Ending::Retry,
            Disposition::Release => Ending::Release,
            Disposition::Final | Disposition::FinalWithoutBody => {
                return self.final_ending(status, headers, body);
            }
        };
        ToStore {
            ending,
            fallback: None,
        }
    }

    fn final_ending(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Whole>,
    ) -> ToStore {
        let ending = |body| {
            let payload = self.guard.payload(status, headers, body);
            match self.guard.is_failure(status, headers, body) {
                true => Ending::Fail(payload),
                false => Ending::Complete(payload),
            }
        };
        let makes_a_difference = body.is_some_and(|body| body.data.len() >= SMALL);
        ToStore {
            fallback: makes_a_difference.then(|| ending(None)),
            ending: ending(body),
        }
    }

    /// Another execution owns the key: its answer is the one that counts.
    async fn superseded(&self) -> Answer {
        let lease = self.guard.0.idem.policy().lease_time();
        self.guard
            .busy(self.context.key(), &self.print, lease)
            .await
    }

    /// A handler that broke down may have had its effect: the 500 is stored like any answer.
    pub(super) async fn fail(&self, execution: Execution) -> Answer {
        let (mut head, body) = self.guard.handler_failed().into_parts();
        let profile = &self.guard.0.profile;
        profile.mark_first(head.status, &mut head.headers, Disposition::Final);
        let body = Whole::from(body);
        let payload = self.guard.payload(head.status, &head.headers, Some(&body));
        match execution.fail(payload).await {
            Ok(_) => Response::from_parts(head, body.into()),
            Err(Superseded) => self.superseded().await,
        }
    }

    /// For a handler that did not run to its end, before it answered.
    pub(super) async fn stop(&self, execution: Execution, stopped: Stopped) -> Answer {
        match (stopped, self.guard.0.idem.policy().panic()) {
            (Stopped::Superseded, _) => {
                drop(execution);
                self.superseded().await
            }
            (Stopped::Panicked(_), OnPanic::Fail) => self.fail(execution).await,
            (Stopped::Panicked(_), OnPanic::Retry) => match execution.fail_retryable().await {
                Ok(_) => self.guard.handler_failed().map(AnswerBody::from),
                Err(Superseded) => self.superseded().await,
            },
        }
    }
}

impl Guard {
    /// Takes from a first answer what only a replay may say.
    pub(super) fn mark_as_first(&self, headers: &mut HeaderMap) {
        headers.remove(&self.0.profile.replayed);
        headers.remove(&self.0.profile.omitted);
        headers.remove(IDEMPOTENCY_DEGRADED);
        self.notice(headers);
    }

    /// What is stored of an answer; `None` for a body that is not kept.
    pub(super) fn payload(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Whole>,
    ) -> Bytes {
        let profile = &self.0.profile;
        let mut kept = profile.kept.select(headers);
        if body.is_none() {
            drop_body_headers(&mut kept);
        }
        let trailers = body.and_then(|body| body.trailers.as_deref());
        let trailers: Vec<_> = trailers
            .into_iter()
            .flatten()
            .filter(|(name, _)| keeps_trailer(name))
            .collect();
        let data = body.map(|body| &body.data);
        let expanded = data.and_then(|data| self.expanded(headers, data));
        if let Some((name, _)) = &expanded {
            kept.retain(|(kept, _)| *kept != name);
        }
        let data = expanded.as_ref().map(|(_, data)| data).or(data);
        encode_answer(status, &kept, data, &trailers, profile.compress_from)
    }

    pub(super) fn replay(&self, payload: &Bytes) -> Result<Answer, Problem> {
        let profile = &self.0.profile;
        let limit = StoredResponse::DECODED_LIMIT.max(profile.response_limit);
        let stored = StoredResponse::decode_within(payload, limit).map_err(|error| {
            tracing::error!(%error, "a stored answer cannot be replayed; nothing ran");
            Problem::new(Code::RecordUnreadable)
        })?;
        let trailers = stored.trailers();
        Ok(profile.replay(stored).map(|data| {
            let trailers = (!trailers.is_empty()).then(|| Box::new(trailers));
            Whole { data, trailers }.into()
        }))
    }

    /// For a request whose key another execution holds, or held a moment ago: its answer where it
    /// is stored, else when to ask again.
    pub(super) async fn busy(
        &self,
        key: &RecordKey,
        print: &Fingerprint,
        lease_left: Duration,
    ) -> Answer {
        let found = self.0.idem.lookup(key).await.ok().flatten();
        let found = found.filter(|found| found.record.fingerprint == *print);
        let replay = match found.as_ref().map(|found| &found.record.state) {
            Some(State::Completed { payload } | State::Failed { payload }) => self.replay(payload),
            _ => Err(self.in_flight(found.as_ref(), lease_left)),
        };
        replay.unwrap_or_else(|problem| self.refuse(problem))
    }

    /// The lease that is left says when the key of a crashed holder is free again, not when the
    /// answer comes, so it is a bound alone. How long the run has been going on is read from
    /// `created_at`, which is by another process's clock: a hint, and no decision.
    fn in_flight(&self, found: Option<&Stored>, lease_left: Duration) -> Problem {
        let age = found.map_or(0, |found| {
            let created = found.record.created_at.as_millis();
            Timestamp::now().as_millis().saturating_sub(created)
        });
        let growing = Duration::from_millis(age / 2);
        let after = growing.max(self.0.profile.in_flight_retry);
        Problem::new(Code::InFlight).retry_after(after.min(lease_left))
    }

    /// A client must not take for done what was rolled back.
    pub(super) fn not_committed(&self, error: &CommitError) -> Answer {
        tracing::warn!(%error, "an answer was not committed");
        let code = match error {
            CommitError::RolledBack(_) => Code::RolledBack,
            _ => Code::CommitUnknown,
        };
        self.refuse(Problem::new(code).retry_after(STORE_RETRY_AFTER))
    }
}
