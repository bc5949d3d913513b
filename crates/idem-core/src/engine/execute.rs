//! Claim, run and end in one call, typed over serde.

use std::pin::pin;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Claim, Context, Idempotency, Ran, Stopped, in_place, run::catching};
use crate::{
    Execution, Fingerprint, OnOutage, OnPanic, RecordKey,
    answer::{self, StoredFailure, decode, decode_failure, encode, encode_failure},
    error::{ClaimError, EncodeError, ExecuteError},
    machine::Ending,
    observe,
};

/// What [`Idempotency::execute`] gives: the value, and where it came from.
///
/// ```
/// use idem_core::{Outcome, Recording};
///
/// fn header(outcome: &Outcome<u64>) -> Option<&'static str> {
///     match outcome.recording {
///         Recording::Unprotected => Some("unprotected"),
///         _ if outcome.replayed => Some("replayed"),
///         _ => None,
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// What the work returned, now or in the execution that ran.
    pub value: T,
    /// Whether this is the stored answer of an earlier execution.
    pub replayed: bool,
    /// Whether the answer is stored.
    pub recording: Recording,
}

/// Whether an ending is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recording {
    /// The store has it: every repeat is answered alike.
    Stored,
    /// The store has not taken it yet; it is retried in the background while the key stays held.
    Pending,
    /// The store refused the ending for good and has the fallback instead: repeats get that one. See
    /// [`Execution::end_or`](crate::Execution::end_or).
    Fallback,
    /// There is no record at all: the work ran under [`OnOutage::FailOpen`](crate::OnOutage::FailOpen).
    Unprotected,
}

/// How work fails. Deliberately not `#[non_exhaustive]`: there is no other way. A bare error turned
/// into this with `?` is final: its effect may have happened.
///
/// ```
/// use idem_core::Failure;
///
/// fn charge(balance: u64, cents: u64, code_is_right: bool) -> Result<u64, Failure<String>> {
///     if !code_is_right {
///         // Nothing happened: the same key may come back with another code.
///         return Err(Failure::Released("wrong one-time password".to_owned()));
///     }
///     if balance < cents {
///         // Final: every repeat is told the same.
///         return Err(Failure::Final("insufficient funds".to_owned()));
///     }
///     Ok(balance - cents)
/// }
/// assert!(matches!(charge(100, 500, true), Err(Failure::Final(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<E> {
    /// For good: stored, and replayed to every repeat.
    Final(E),
    /// Certainly without effect: not stored, the next call with the same fingerprint runs.
    Retryable(E),
    /// Refused before anything happened: not stored, and the next call runs whatever its fingerprint.
    /// See [`Execution::release`].
    Released(E),
}

impl<E> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self::Final(error)
    }
}

impl<E> StoredFailure<E> {
    fn into_error(self, replayed: bool) -> ExecuteError<E> {
        match self {
            Self::Error(error) => ExecuteError::Failed { error, replayed },
            Self::Panic(message) => ExecuteError::Panicked { message, replayed },
            Self::Unstorable(message) => ExecuteError::Unstorable { message, replayed },
        }
    }
}

/// What came out of the work: as every repeat will read it, and in its stored form (G2).
enum Ended<T, E> {
    Completed(T, Bytes),
    Failed(StoredFailure<E>, Bytes),
    Retryable(E),
    Released(E),
}

impl<T, E> Ended<T, E>
where
    T: Serialize + DeserializeOwned,
    E: Serialize + DeserializeOwned,
{
    fn of(result: Result<T, Failure<E>>) -> Self {
        match result {
            Ok(value) => match encode(&value) {
                Ok((value, payload)) => Self::Completed(value, payload),
                Err(error) => Self::unstorable(&error),
            },
            Err(Failure::Final(error)) => match encode_failure(&error) {
                Ok((failure, payload)) => Self::Failed(failure, payload),
                Err(error) => Self::unstorable(&error),
            },
            Err(Failure::Retryable(error)) => Self::Retryable(error),
            Err(Failure::Released(error)) => Self::Released(error),
        }
    }

    /// It ran, so it must not run again, although its answer cannot be kept.
    fn unstorable(error: &EncodeError) -> Self {
        let message = error.to_string();
        let payload = answer::unstorable(&message);
        Self::Failed(StoredFailure::Unstorable(message), payload)
    }
}

impl Idempotency {
    /// Runs `work` once for this key, and gives every repeat its stored answer.
    ///
    /// Claims the key, runs the work in this task while renewing the lease, and stores how it
    /// ended: the value or the error as JSON, a panic by the policy's
    /// [`OnPanic`](crate::OnPanic). `null`, `false`, `0` and empty values are answers like any
    /// other.
    ///
    /// The value that is returned is the one that a repeat reads: it has been through JSON. One that
    /// cannot be read back is [`ExecuteError::Unstorable`]. To change the type later, see
    /// [`DecodeError`](crate::error::DecodeError).
    ///
    /// ```
    /// use idem_core::{Failure, Fingerprint, Idempotency, RecordKey, Refused, error::ExecuteError};
    ///
    /// # async fn example(idem: Idempotency) -> Result<(), Box<dyn std::error::Error>> {
    /// let key = RecordKey::new("merchant-7", "order-4711")?;
    /// let request = Fingerprint::of("payments/v1", b"500 usd");
    /// let result = idem
    ///     .execute(&key, &request, async |_| -> Result<u64, Failure<String>> { Ok(17) })
    ///     .await;
    /// match result {
    ///     Ok(paid) => println!("charge {}, replayed: {}", paid.value, paid.replayed),
    ///     Err(ExecuteError::Failed { error, .. }) => println!("declined, now and for every repeat: {error}"),
    ///     Err(ExecuteError::Refused(Refused::Mismatch)) => println!("the key belongs to another request"),
    ///     Err(ExecuteError::Refused(Refused::InFlight { retry_after })) => {
    ///         println!("somebody is at it; look again within {retry_after:?}");
    ///     }
    ///     Err(other) => println!("no answer: {other}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ExecuteError`]: the work's own failure, or why it did not run.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work, which then counts as a crash half-way. Use
    /// [`execute_detached`](Self::execute_detached) where callers may go away.
    pub async fn execute<T, E, W, F>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        work: W,
    ) -> Result<Outcome<T>, ExecuteError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned,
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        match in_place!(self.claim(key, fingerprint)) {
            Ok(Claim::Acquired(execution)) => in_place!(self.run_to_end(execution, work)),
            Ok(Claim::Replay(payload)) => match decode(&payload) {
                Ok(value) => Ok(Outcome {
                    value,
                    replayed: true,
                    recording: Recording::Stored,
                }),
                Err(error) => Err(ExecuteError::Unreadable(error)),
            },
            Ok(Claim::ReplayFailure(payload)) => Err(match decode_failure(&payload) {
                Ok(failure) => failure.into_error(true),
                Err(error) => ExecuteError::Unreadable(error),
            }),
            Ok(Claim::Refused(refused)) => Err(ExecuteError::Refused(refused)),
            Err(error) => in_place!(self.run_unprotected(key, fingerprint, error, work)),
        }
    }

    async fn run_to_end<T, E, W, F>(
        &self,
        execution: Execution,
        work: W,
    ) -> Result<Outcome<T>, ExecuteError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned,
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let context = execution.context();
        // An `async` block, so that a panic in the closure itself, or in the value's own serde code,
        // is caught as well. Pinned here, so that it is not moved from hand to hand.
        let work = pin!(async { Ended::of(work(context).await) });
        match in_place!(execution.run(work)) {
            Ran::Finished(Ended::Completed(value, payload)) => {
                match in_place!(execution.end_or(Ending::Complete(payload), refused())) {
                    Ok(Recording::Fallback) => Err(refused_error()),
                    Ok(recording) => Ok(Outcome {
                        value,
                        replayed: false,
                        recording,
                    }),
                    Err(_) => Err(ExecuteError::Superseded),
                }
            }
            Ran::Finished(Ended::Failed(failure, payload)) => {
                fail(execution, failure, payload).await
            }
            Ran::Finished(Ended::Retryable(error)) => match execution.fail_retryable().await {
                Ok(_) => Err(ExecuteError::Retryable(error)),
                Err(_) => Err(ExecuteError::Superseded),
            },
            Ran::Finished(Ended::Released(error)) => match execution.release().await {
                Ok(_) => Err(ExecuteError::Released(error)),
                Err(_) => Err(ExecuteError::Superseded),
            },
            Ran::Stopped(Stopped::Superseded) => Err(ExecuteError::Superseded),
            Ran::Stopped(Stopped::Panicked(message)) => match self.policy().on_panic {
                OnPanic::Fail => {
                    let payload = answer::panic(&message);
                    fail(execution, StoredFailure::Panic(message), payload).await
                }
                OnPanic::Retry => match execution.fail_retryable().await {
                    Ok(_) => Err(ExecuteError::Panicked {
                        message,
                        replayed: false,
                    }),
                    Err(_) => Err(ExecuteError::Superseded),
                },
            },
        }
    }

    /// What to run with after a claim failed, where the policy is
    /// [`OnOutage::FailOpen`](crate::OnOutage::FailOpen) and the store is out of reach; `None` where nothing may run (G6).
    #[must_use]
    pub fn unprotected(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        error: &ClaimError,
    ) -> Option<Context> {
        let kind = error.source.kind();
        if self.policy().on_outage == OnOutage::FailClosed || !kind.is_transient() {
            return None;
        }
        observe::unprotected(key, kind);
        Some(Context::unprotected(key.clone(), *fingerprint))
    }

    async fn run_unprotected<T, E, W, F>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        error: ClaimError,
        work: W,
    ) -> Result<Outcome<T>, ExecuteError<E>>
    where
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let Some(context) = self.unprotected(key, fingerprint, &error) else {
            return Err(ExecuteError::Claim(error));
        };
        match catching(async { work(context).await }).await {
            Ok(Ok(value)) => Ok(Outcome {
                value,
                replayed: false,
                recording: Recording::Unprotected,
            }),
            Ok(Err(Failure::Final(error))) => Err(ExecuteError::Failed {
                error,
                replayed: false,
            }),
            Ok(Err(Failure::Retryable(error))) => Err(ExecuteError::Retryable(error)),
            Ok(Err(Failure::Released(error))) => Err(ExecuteError::Released(error)),
            Err(message) => Err(ExecuteError::Panicked {
                message,
                replayed: false,
            }),
        }
    }
}

async fn fail<T, E>(
    execution: Execution,
    failure: StoredFailure<E>,
    payload: Bytes,
) -> Result<T, ExecuteError<E>> {
    match execution.end_or(Ending::Fail(payload), refused()).await {
        Ok(Recording::Fallback) => Err(refused_error()),
        Ok(_) => Err(failure.into_error(false)),
        Err(_) => Err(ExecuteError::Superseded),
    }
}

/// What is stored in place of an answer that the store refuses for good.
fn refused() -> Ending {
    Ending::Fail(answer::refused())
}

fn refused_error<E>() -> ExecuteError<E> {
    let message = answer::REFUSED.to_owned();
    StoredFailure::Unstorable(message).into_error(false)
}
