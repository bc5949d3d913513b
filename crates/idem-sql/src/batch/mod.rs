//! Calls that travel together.
//!
//! A call that arrives while a lane is free goes out at once, alone if it is alone. Calls that
//! arrive while every lane is busy wait for the first that comes back, and form its next batch.
//! Nothing waits for a timer.
//!
//! A large call goes out on a lane of its own, one after the other: over a slow way it would keep the
//! small ones waiting, renewals among them, and their holders would lose their keys. What is written of
//! the same key meanwhile goes behind it: a renewal that overtook its own ending would refuse it.
//!
//! Batches are sent on tasks of their own: a caller that goes away leaves no connection in the
//! middle of a statement.

mod job;
mod kind;
mod lane;
mod queue;
mod under_way;

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use idem_core::{RecordKey, spi::SeenKeys, store::StoreError};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

pub use job::{Answer, Group, Job, Reply, created, deleted, got, updated};
pub use kind::Kind;
pub use queue::{LARGE, Limits};
pub use under_way::UnderWay;

use job::{Call, Outcome};
use lane::Lane;
use queue::Queues;

/// How many lanes a call may see lost under it before it was sent: each went down with a runtime.
const MAX_LANES_LOST: usize = 100;

/// How often one call is sent again because it raced with another and has no answer. Each time
/// somebody else's write went through.
const MAX_RACES: u32 = 1000;

/// How a store sends batches.
pub trait Lanes: Send + Sync + 'static {
    /// The store's name, in the label `store` of `idem_batch_calls`.
    const STORE: &'static str;

    /// Which calls fit together.
    type Kind: Kind;
    /// What a lane keeps between batches: its connection.
    type Lane: Default + Send + 'static;

    /// Makes the lane ready to send. Calls wait in their queue meanwhile, and join the batch.
    ///
    /// Called when there is something to send; whatever it took is given back by
    /// [`serve`](Self::serve) or [`rest`](Self::rest).
    ///
    /// # Errors
    /// What every call of the next batch is told.
    fn ready(&self, lane: &mut Self::Lane) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Sends a batch and answers it, by [`UnderWay::settle`] or [`UnderWay::answer_all`].
    fn serve(
        &self,
        lane: &mut Self::Lane,
        batch: UnderWay<Self>,
    ) -> impl Future<Output = ()> + Send
    where
        Self: Sized;

    /// There is nothing left to send: gives back what [`ready`](Self::ready) took.
    fn rest(&self, lane: &mut Self::Lane) -> impl Future<Output = ()> + Send {
        let _ = lane;
        async {}
    }
}

/// Takes calls from any number of tasks. Cheap to clone.
pub struct Batcher<L: Lanes> {
    shared: Arc<Shared<L>>,
    /// For large calls.
    large: Arc<Shared<L>>,
}

impl<L: Lanes> Clone for Batcher<L> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            large: Arc::clone(&self.large),
        }
    }
}

struct Shared<L: Lanes> {
    lanes: Arc<L>,
    limits: Limits,
    queues: Mutex<Queues<L::Kind>>,
    /// Keys that have a record, or had one.
    seen: SeenKeys,
}

impl<L: Lanes> Batcher<L> {
    /// Sends by these lanes.
    #[must_use]
    pub fn new(lanes: L, limits: Limits) -> Self {
        let lanes = Arc::new(lanes);
        let alone = Limits {
            lanes: NonZeroUsize::MIN,
            rows: NonZeroUsize::MIN,
            ..limits
        };
        Self {
            shared: Shared::new(&lanes, limits),
            large: Shared::new(&lanes, alone),
        }
    }

    /// Whether the key of a create probably has a record.
    #[must_use]
    pub fn has_seen(&self, key: &RecordKey) -> bool {
        self.shared.seen.has(key.as_str())
    }

    fn goes_apart(&self, key: &RecordKey, job: &Job) -> bool {
        let large = self.shared.limits.large;
        if large == usize::MAX || matches!(job, Job::Get) {
            return false;
        }
        job.weight() >= large || self.large.queues().writes_to(key)
    }

    /// Sends a call with whatever else is there to be sent.
    ///
    /// # Errors
    /// What the store says of the call. A call that is not sent within the
    /// [`send_timeout`](Limits::send_timeout) is taken back:
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable), it is certain that nothing was applied.
    ///
    /// # Cancel safety
    /// Dropping the future before the call was sent takes it back; later it changes nothing.
    pub async fn submit(&self, key: RecordKey, mut job: Job) -> Reply {
        let shared = match self.goes_apart(&key, &job) {
            true => &self.large,
            false => &self.shared,
        };
        let creates = matches!(job, Job::Create { .. });
        for _ in 0..MAX_LANES_LOST {
            let (reply, mut answer) = oneshot::channel();
            let seen = creates && shared.seen.has(key.as_str());
            let call = Call::new(job, seen, reply);
            let (id, free_lane) = shared.queues().push(key.clone(), call);
            if free_lane {
                start_lane(shared)?;
            }
            let limit = shared.limits.send_timeout;
            let outcome = match timeout(limit, &mut answer).await {
                Ok(outcome) => outcome,
                Err(_) if shared.queues().withdraw(&key, id) => {
                    return Err(StoreError::unavailable(format!(
                        "the database is slow or away: the call was not sent within {limit:?}"
                    )));
                }
                Err(_) => answer.await,
            };
            match outcome {
                Ok(Outcome::Answered(reply)) => {
                    if creates && reply.is_ok() {
                        shared.seen.remember(key.as_str());
                    }
                    return reply;
                }
                Ok(Outcome::Unsent(unsent)) => job = unsent,
                Err(_) => {
                    return Err(StoreError::unknown(
                        "the runtime dropped the task that sent the call",
                    ));
                }
            }
        }
        Err(StoreError::unavailable(
            "the runtime goes down; the call was not sent",
        ))
    }
}

/// Starts a lane that was taken.
fn start_lane<L: Lanes>(shared: &Arc<Shared<L>>) -> Result<(), StoreError> {
    let lane = Lane::new(Arc::clone(shared));
    let runtime = Handle::try_current()
        .map_err(|error| StoreError::config("there is no tokio runtime").with_source(error))?;
    runtime.spawn(lane.run());
    Ok(())
}

impl<L: Lanes> Shared<L> {
    fn new(lanes: &Arc<L>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            lanes: Arc::clone(lanes),
            limits,
            queues: Mutex::new(Queues::new(limits)),
            seen: SeenKeys::new(),
        })
    }

    fn queues(&self) -> MutexGuard<'_, Queues<L::Kind>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
