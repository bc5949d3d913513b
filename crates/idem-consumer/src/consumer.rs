//! [`Consumer`]: a message, one run under a claim, one verdict.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    Backoff, Builder, Deferral, Done, KeyFrom, KeyProblem, Message, Reason, Verdict,
    ended::{Ended, catching},
    failure, observe,
    outage::Outage,
};
use bytes::Bytes;
use idem_core::{
    Claim, Context, Execution, Failure, Fingerprint, Idempotency, OnPanic, RecordKey, Recording,
    Refused, Scope,
    error::Superseded,
    machine::Ending,
    spi::{Ran, Stopped},
    store::{StoreError, StoreErrorKind},
};
use serde::Serialize;

/// Works messages off once each, however often they are delivered. Cheap to clone.
///
/// ```
/// use idem_consumer::{Consumer, KeyFrom, Message, Verdict};
/// use idem_core::{Context, Failure, Idempotency, Scope};
/// use idem_memory::MemoryStore;
///
/// async fn charge(context: Context) -> Result<String, Failure<String>> {
///     // The provider runs this once, however often this message is delivered.
///     let key = context.derive_key("charge");
///     Ok(format!("charged under {}", key.as_str()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let idem = Idempotency::new(MemoryStore::new());
/// let key = KeyFrom::header("Idempotency-Key");
/// let consumer = Consumer::builder(idem, Scope::new("orders")?, key).build()?;
///
/// let message = Message::new("500 usd").with_header("Idempotency-Key", "order-4711");
/// for expected in ["done", "repeat"] {
///     let verdict = consumer.handle(&message, charge).await;
///     assert_eq!(verdict.name(), expected);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Consumer {
    pub(crate) tuned: Arc<Tuned>,
}

type ScopeOf = dyn Fn(&Message) -> Result<Scope, KeyProblem> + Send + Sync;
type FingerprintOf = dyn Fn(&Message) -> Fingerprint + Send + Sync;
type Watch = dyn Fn(&Message, &Verdict) + Send + Sync;

pub(crate) struct Tuned {
    pub(crate) idem: Idempotency,
    pub(crate) scope: Box<ScopeOf>,
    pub(crate) key: KeyFrom,
    pub(crate) fingerprint: Box<FingerprintOf>,
    pub(crate) concurrency: usize,
    pub(crate) drain: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) park: Option<Duration>,
    pub(crate) ack_failures: bool,
    pub(crate) attempts: Option<NonZeroU32>,
    pub(crate) watch: Option<Box<Watch>>,
    pub(crate) outage: Outage,
}

impl Consumer {
    /// A consumer over an engine. Keys live in `scope`: name it after the queue or the kind of work.
    pub fn builder(idem: Idempotency, scope: Scope, key: KeyFrom) -> Builder {
        Builder::new(idem, scope, key)
    }

    /// The engine, with the limit of attempts in force.
    #[must_use]
    pub fn engine(&self) -> &Idempotency {
        &self.tuned.idem
    }

    /// The record key of a message.
    ///
    /// # Errors
    /// [`KeyProblem`] when it has none, or more than one.
    pub fn key_of(&self, message: &Message) -> Result<RecordKey, KeyProblem> {
        let key = self.tuned.key.find(message)?;
        Ok((self.tuned.scope)(message)?.key(&key))
    }

    /// Runs `work` for a message unless it was done before, and says what becomes of the delivery.
    ///
    /// The lease is renewed while the work runs. Extending the broker's own timeout, where it has one,
    /// is the caller's to do: [`run`](Self::run) does it.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work, which then counts as a crash half-way.
    pub async fn handle<T, E, W, F>(&self, message: &Message, work: W) -> Verdict
    where
        T: Serialize,
        E: fmt::Display,
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let verdict = self.judge(message, work).await;
        observe::judged(message, &verdict);
        if let Some(watch) = &self.tuned.watch {
            watch(message, &verdict);
        }
        verdict
    }

    async fn judge<T, E, W, F>(&self, message: &Message, work: W) -> Verdict
    where
        T: Serialize,
        E: fmt::Display,
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let Tuned { idem, outage, .. } = &*self.tuned;
        let key = match self.key_of(message) {
            Ok(key) => key,
            Err(problem) => return Verdict::DeadLetter(Reason::Key(problem)),
        };
        let fingerprint = (self.tuned.fingerprint)(message);
        let claim = match idem.claim(&key, &fingerprint).await {
            Ok(claim) => claim,
            Err(error) => match idem.unprotected(&key, &fingerprint, &error) {
                Some(context) => return self.run_unprotected(context, work).await,
                None => return self.no_claim(error.source),
            },
        };
        outage.is_over();
        match claim {
            Claim::Acquired(execution) => self.run_under(execution, work).await,
            Claim::Replay(answer) => done(true, answer),
            Claim::ReplayFailure(payload) => self.failed(failure::read(&payload)),
            Claim::Refused(refused) => self.refused(&refused),
        }
    }

    async fn run_under<T, E, W, F>(&self, execution: Execution, work: W) -> Verdict
    where
        T: Serialize,
        E: fmt::Display,
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        let attempt = execution.attempt();
        let context = execution.context();
        // An `async` block, so that a panic in the closure itself, or in the value's own serde code,
        // is caught as well.
        let ran = execution.run(async { Ended::of(work(context).await) });
        match ran.await {
            Ran::Finished(Ended::Completed(answer)) => {
                let ending = Ending::Complete(answer.clone());
                // The store may refuse the answer for its size. The message is done all the same.
                let fallback = Ending::Complete(null());
                match execution.end_or(ending, fallback).await {
                    Ok(Recording::Fallback) => done(false, null()),
                    ended => self.stored(ended, || done(false, answer)),
                }
            }
            Ran::Finished(Ended::Failed(error)) => {
                let payload = failure::error(&error);
                let reason = Reason::Failed {
                    error,
                    replayed: false,
                };
                self.fail(execution, payload, reason).await
            }
            Ran::Finished(Ended::Retryable(error)) => {
                let ended = execution.fail_retryable().await;
                self.stored(ended, || self.try_again(attempt, error))
            }
            Ran::Finished(Ended::Released(error)) => {
                let ended = execution.release().await;
                self.stored(ended, || self.try_again(attempt, error))
            }
            Ran::Stopped(Stopped::Panicked(message)) => match self.tuned.idem.policy().panic() {
                OnPanic::Fail => {
                    let payload = failure::panic(&message);
                    let reason = Reason::Panicked {
                        message,
                        replayed: false,
                    };
                    self.fail(execution, payload, reason).await
                }
                OnPanic::Retry => {
                    let ended = execution.fail_retryable().await;
                    self.stored(ended, || {
                        self.try_again(attempt, format!("it panicked: {message}"))
                    })
                }
            },
            Ran::Stopped(Stopped::Superseded) => {
                execution.ended().await;
                self.put_off(Deferral::Superseded)
            }
        }
    }

    async fn fail(&self, execution: Execution, payload: Bytes, reason: Reason) -> Verdict {
        let fallback = Ending::Fail(failure::too_large());
        let ended = execution.end_or(Ending::Fail(payload), fallback).await;
        self.stored(ended, || self.failed(reason))
    }

    /// The verdict if the ending is stored. Before it is, the broker must not let go of the message.
    fn stored(
        &self,
        ended: Result<Recording, Superseded>,
        verdict: impl FnOnce() -> Verdict,
    ) -> Verdict {
        match ended {
            Ok(Recording::Stored | Recording::Fallback) => verdict(),
            Ok(_) => Verdict::Defer {
                delay: self.tuned.outage.delay(&self.tuned.backoff),
                cause: Deferral::NotStored,
            },
            Err(Superseded) => self.put_off(Deferral::Superseded),
        }
    }

    /// Work without a record, under `OnOutage::FailOpen`: a repeat may run it again.
    async fn run_unprotected<T, E, W, F>(&self, context: Context, work: W) -> Verdict
    where
        T: Serialize,
        E: fmt::Display,
        W: FnOnce(Context) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
    {
        match catching(async { Ended::of(work(context).await) }).await {
            Ok(Ended::Completed(answer)) => done(false, answer),
            Ok(Ended::Failed(error)) => self.failed(Reason::Failed {
                error,
                replayed: false,
            }),
            Ok(Ended::Retryable(error) | Ended::Released(error)) => {
                self.put_off(Deferral::Failed { attempt: 0, error })
            }
            Err(message) => self.failed(Reason::Panicked {
                message,
                replayed: false,
            }),
        }
    }

    fn refused(&self, refused: &Refused) -> Verdict {
        match *refused {
            Refused::Mismatch => Verdict::DeadLetter(Reason::Mismatch),
            Refused::InFlight { retry_after } => Verdict::Defer {
                delay: self.tuned.backoff.floor(retry_after),
                cause: Deferral::InFlight,
            },
            Refused::Abandoned { attempt } => match self.tuned.park {
                None => Verdict::DeadLetter(Reason::Abandoned { attempt }),
                Some(delay) => Verdict::Defer {
                    delay: self.tuned.backoff.floor(delay),
                    cause: Deferral::Abandoned { attempt },
                },
            },
            Refused::Exhausted { attempts } => Verdict::DeadLetter(Reason::Exhausted {
                attempts,
                last: None,
            }),
        }
    }

    fn no_claim(&self, error: StoreError) -> Verdict {
        match error.kind() {
            StoreErrorKind::Config => Verdict::Halt(error),
            StoreErrorKind::Corrupt | StoreErrorKind::TooLarge => {
                Verdict::DeadLetter(Reason::Record(error))
            }
            kind => {
                observe::store_away(kind);
                Verdict::Defer {
                    delay: self.tuned.outage.delay(&self.tuned.backoff),
                    cause: Deferral::StoreAway(error),
                }
            }
        }
    }

    fn failed(&self, reason: Reason) -> Verdict {
        match &reason {
            Reason::Failed { replayed, .. } | Reason::Panicked { replayed, .. }
                if self.tuned.ack_failures =>
            {
                done(*replayed, null())
            }
            _ => Verdict::DeadLetter(reason),
        }
    }

    fn try_again(&self, attempt: u32, error: String) -> Verdict {
        match self.tuned.attempts {
            Some(limit) if attempt >= limit.get() => Verdict::DeadLetter(Reason::Exhausted {
                attempts: attempt,
                last: Some(error),
            }),
            _ => Verdict::Defer {
                delay: self.tuned.backoff.after(attempt),
                cause: Deferral::Failed { attempt, error },
            },
        }
    }

    fn put_off(&self, cause: Deferral) -> Verdict {
        Verdict::Defer {
            delay: self.tuned.backoff.after(1),
            cause,
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("engine", &self.tuned.idem)
            .field("key", &self.tuned.key)
            .finish_non_exhaustive()
    }
}

fn done(replayed: bool, answer: Bytes) -> Verdict {
    Verdict::Ack(Done { replayed, answer })
}

fn null() -> Bytes {
    Bytes::from_static(b"null")
}
