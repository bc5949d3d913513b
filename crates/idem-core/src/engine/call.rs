//! One store call: bounded in time, and asked again within a budget.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{Idempotency, deadline::deadline, run::catching};
use crate::{
    Abandonment, OnAbandoned, ProbeResult, RecordKey,
    machine::{self, Op, Reply, Write},
    observe,
    store::{Record, State, StoreError, StoreErrorKind},
};

/// The first pause before asking again; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Operations for one wish before a store that only ever answers *conflict* counts as broken. In an
/// honest store a conflict means that somebody else got ahead, which has an end.
pub(crate) const MAX_ROUNDS: usize = 1000;

/// Bounds a store call. One that takes too long is dropped, and its outcome is unknown.
///
/// A call that is ready at once, as with a store in memory, never touches a timer.
pub(crate) fn bounded<F>(limit: Duration, call: F) -> Bounded<F> {
    let timer = None;
    Bounded { call, limit, timer }
}

/// A store call with its limit.
#[must_use]
pub(crate) struct Bounded<F> {
    call: F,
    limit: Duration,
    /// Boxed: a call that is ready at once does not carry the room for it.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T, F> Future for Bounded<F>
where
    F: Future<Output = Result<T, StoreError>> + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { call, limit, timer } = self.get_mut();
        if let Poll::Ready(result) = Pin::new(call).poll(cx) {
            return Poll::Ready(result);
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(*limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(StoreError::unknown(format!(
            "no answer within {limit:?}"
        ))))
    }
}

/// Awaits a future where it lies. A bare `.await` may copy a large one first, which costs as much
/// as a store in memory takes to answer.
macro_rules! in_place {
    ($future:expr) => {{
        let future = std::pin::pin!($future);
        future.await
    }};
}

pub(crate) use in_place;

/// How long to go on asking. Reads no clock before the first failure.
pub(crate) struct Budget {
    total: Duration,
    deadline: Option<Instant>,
    pause: Duration,
}

impl Budget {
    pub(crate) fn new(total: Duration) -> Self {
        Self {
            total,
            deadline: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Counts from now on and not from the first failure.
    pub(crate) fn started(mut self) -> Self {
        self.deadline = Instant::now().checked_add(self.total);
        self
    }

    /// The next pause, jittered; `None` when the budget is spent.
    pub(crate) fn next_pause(&mut self, engine: &Idempotency) -> Option<Duration> {
        let now = Instant::now();
        let deadline = *self
            .deadline
            .get_or_insert_with(|| deadline(now, self.total));
        let left = deadline
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())?;
        let pause = engine.shared().entropy.jittered(self.pause).min(left);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }

    /// Sleeps before the next try; hands the error back when there is to be none.
    pub(crate) async fn retry(
        &mut self,
        engine: &Idempotency,
        key: &RecordKey,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if !error.kind().is_transient() {
            return Err(error);
        }
        let Some(pause) = self.next_pause(engine) else {
            return Err(error);
        };
        observe::store_retry(key, &error);
        sleep(pause).await;
        Ok(())
    }
}

impl Idempotency {
    /// Performs an operation of the machine, asking once. A reply always comes: with it the error,
    /// when the call failed.
    pub(crate) async fn perform(&self, key: &RecordKey, op: Op<'_>) -> (Reply, Option<StoreError>) {
        let limit = self.policy().call_limit(op.bytes());
        let (store, lease) = (&self.shared().store, self.policy().lease);
        // A deletion that does not get through keeps nobody from renewing.
        let writes = matches!(op, Op::Create(_) | Op::Update { .. });
        let replied = match op {
            Op::Create(record) => {
                let call = store.create(key, record, self.ttl(&record.state));
                bounded(limit, call).await.map(Reply::from)
            }
            Op::Update(Write { expected, record }) => {
                let call = store.update(key, *expected, record, self.ttl(&record.state));
                bounded(limit, call).await.map(Reply::from)
            }
            Op::Delete(version) => {
                let call = store.delete(key, version);
                bounded(limit, call).await.map(Reply::from)
            }
            Op::Get => bounded(limit, store.get(key)).await.map(Reply::Found),
            // Boxed: claims that probe nothing do not carry the room for it.
            Op::Probe(abandoned) => return (Box::pin(self.probe(key, abandoned)).await, None),
        };
        match replied {
            Ok(reply) => {
                let wrote = matches!(reply, Reply::Applied);
                self.shared().outage.succeeded(wrote, lease);
                (reply, None)
            }
            Err(error) => {
                match error.kind() {
                    StoreErrorKind::Full => self.shared().outage.full(lease),
                    kind if kind.is_transient() => self.shared().outage.failed(writes, lease),
                    // A refusal is an answer: the store is not away.
                    _ => {}
                }
                (Reply::Failed(error.kind()), Some(error))
            }
        }
    }

    async fn probe(&self, key: &RecordKey, abandoned: &Record) -> Reply {
        let abandonment = Abandonment {
            key: key.clone(),
            fingerprint: abandoned.fingerprint,
            attempt: abandoned.attempt,
            checkpoint: match &abandoned.state {
                State::InFlight { checkpoint, .. } => checkpoint.clone(),
                _ => None,
            },
        };
        Reply::Probed(match &self.policy().on_abandoned {
            OnAbandoned::Probe(prober) => {
                let probing = catching(async { prober.probe(&abandonment).await });
                match timeout(self.policy().lease, probing).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_)) => no_result(key, "it panicked"),
                    Err(_) => no_result(key, "no answer within the lease"),
                }
            }
            OnAbandoned::Reclaim | OnAbandoned::Halt => ProbeResult::unknown(),
        })
    }

    /// The ttl that this engine's policy gives a record in this state.
    #[must_use]
    pub fn ttl(&self, state: &State) -> Duration {
        machine::ttl(
            state,
            self.policy().retentions(),
            self.policy().lapsed_rule(),
        )
    }
}

/// A prober that breaks down or hangs leaves the key in doubt, and takes no caller down with it.
fn no_result(key: &RecordKey, why: &'static str) -> ProbeResult {
    observe::probe_failed(key, why);
    ProbeResult::unknown()
}

/// The error of a store that answers *conflict* without end.
pub(crate) fn endless() -> StoreError {
    StoreError::corrupt("the store answers `conflict` without end; check it with idem-conformance")
}
