//! Claim, run and end in one call, typed over serde.

use std::pin::pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Claim, Idempotency, Ran, Running, Stopped, in_place, run::catching};
use crate::{
    ClaimError, ExecuteError, Execution, Fingerprint, OnOutage, OnPanic, RecordKey, SerdeError,
    json, machine::Ending, observe,
};

/// What [`Idempotency::execute`] gives: the value, and where it came from.
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

/// How work fails. A bare error turned into this with `?` is final: its effect may have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<E> {
    /// For good: stored, and replayed to every repeat.
    Final(E),
    /// Certainly without effect: not stored, the next call runs again.
    Retryable(E),
}

impl<E> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self::Final(error)
    }
}

/// A stored failure, as JSON: `{"error": …}`, `{"panic": "…"}` or `{"unstorable": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredFailure<E> {
    Error(E),
    Panic(String),
    Unstorable(String),
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

impl Idempotency {
    /// Runs `work` once for this key, and gives every repeat its stored answer.
    ///
    /// Claims the key, runs the work in this task while renewing the lease, and stores how it
    /// ended: the value or the error as JSON, a panic by the policy's
    /// [`OnPanic`](crate::OnPanic). `null`, `false`, `0` and empty values are answers like any
    /// other.
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
        W: FnOnce(Running) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        match in_place!(self.claim(key, fingerprint)) {
            Ok(Claim::Acquired(execution)) => in_place!(self.run_to_end(execution, work)),
            Ok(Claim::Replay(payload)) => Ok(Outcome {
                value: decode(&payload)?,
                replayed: true,
                recording: Recording::Stored,
            }),
            Ok(Claim::ReplayFailure(payload)) => {
                Err(decode::<StoredFailure<E>, E>(&payload)?.into_error(true))
            }
            Ok(Claim::InFlight { retry_after }) => Err(ExecuteError::InFlight { retry_after }),
            Ok(Claim::Mismatch) => Err(ExecuteError::Mismatch),
            Ok(Claim::Abandoned { attempt }) => Err(ExecuteError::Abandoned { attempt }),
            Ok(Claim::Exhausted { attempts }) => Err(ExecuteError::Exhausted { attempts }),
            Err(error) => in_place!(self.run_unprotected(key, fingerprint, error, work)),
        }
    }

    async fn run_to_end<T, E, W, F>(
        &self,
        execution: Execution,
        work: W,
    ) -> Result<Outcome<T>, ExecuteError<E>>
    where
        T: Serialize,
        E: Serialize,
        W: FnOnce(Running) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let running = execution.running();
        // An `async` block, so that a panic in the closure itself is caught as well. Pinned here,
        // so that it is not moved from hand to hand.
        let work = pin!(async { work(running).await });
        match in_place!(execution.run(work)) {
            Ran::Finished(Ok(value)) => match json::to_bytes(&value) {
                Ok(payload) => {
                    match in_place!(execution.end_or(Ending::Complete(payload), refused())) {
                        Ok(Recording::Fallback) => Err(ExecuteError::Unstorable {
                            message: REFUSED.to_owned(),
                            replayed: false,
                        }),
                        Ok(recording) => Ok(Outcome {
                            value,
                            replayed: false,
                            recording,
                        }),
                        Err(_) => Err(ExecuteError::Superseded),
                    }
                }
                Err(source) => {
                    // It ran, so it must not run again, although its answer cannot be kept.
                    fail(execution, StoredFailure::Unstorable(source.to_string())).await
                }
            },
            Ran::Finished(Err(Failure::Final(error))) => {
                fail(execution, StoredFailure::Error(error)).await
            }
            Ran::Finished(Err(Failure::Retryable(error))) => {
                match execution.fail_retryable().await {
                    Ok(_) => Err(ExecuteError::Retryable(error)),
                    Err(_) => Err(ExecuteError::Superseded),
                }
            }
            Ran::Stopped(Stopped::Superseded) => Err(ExecuteError::Superseded),
            Ran::Stopped(Stopped::Panicked(message)) => match self.policy().on_panic {
                OnPanic::Fail => fail(execution, StoredFailure::Panic(message)).await,
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
    ) -> Option<Running> {
        let kind = error.source.kind();
        if self.policy().on_outage == OnOutage::FailClosed || !kind.is_transient() {
            return None;
        }
        observe::unprotected(key, kind);
        Some(Running::unprotected(key.clone(), *fingerprint))
    }

    async fn run_unprotected<T, E, W, F>(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        error: ClaimError,
        work: W,
    ) -> Result<Outcome<T>, ExecuteError<E>>
    where
        W: FnOnce(Running) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let Some(running) = self.unprotected(key, fingerprint, &error) else {
            return Err(ExecuteError::Claim(error));
        };
        match catching(async { work(running).await }).await {
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
            Err(message) => Err(ExecuteError::Panicked {
                message,
                replayed: false,
            }),
        }
    }
}

async fn fail<T, E: Serialize>(
    execution: Execution,
    failure: StoredFailure<E>,
) -> Result<T, ExecuteError<E>> {
    let (payload, failure) = match json::to_bytes(&failure) {
        Ok(payload) => (payload, failure),
        Err(source) => {
            let message = source.to_string();
            let payload = unstorable(&message);
            (payload, StoredFailure::Unstorable(message))
        }
    };
    match execution.end_or(Ending::Fail(payload), refused()).await {
        Ok(Recording::Fallback) => Err(ExecuteError::Unstorable {
            message: REFUSED.to_owned(),
            replayed: false,
        }),
        Ok(_) => Err(failure.into_error(false)),
        Err(_) => Err(ExecuteError::Superseded),
    }
}

/// What is stored in place of an answer that the store refuses for good, and its message. Written
/// out, because every ending carries it.
const REFUSED: &str = "the store refuses the answer: it is too large for it, or there is no room";
const REFUSED_JSON: &[u8] =
    br#"{"unstorable":"the store refuses the answer: it is too large for it, or there is no room"}"#;

fn refused() -> Ending {
    Ending::Fail(Bytes::from_static(REFUSED_JSON))
}

fn unstorable(message: &str) -> Bytes {
    serde_json::json!({ "unstorable": message })
        .to_string()
        .into()
}

fn decode<T: DeserializeOwned, E>(payload: &Bytes) -> Result<T, ExecuteError<E>> {
    serde_json::from_slice(payload).map_err(|source| {
        ExecuteError::Serde(SerdeError {
            context: "the stored answer is of another type than the one asked for",
            source,
        })
    })
}
