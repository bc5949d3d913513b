//! Calls that travel together.
//!
//! A call that arrives while a lane is free goes out at once, alone if it is alone. Calls that
//! arrive while every lane is busy wait for the first that comes back, and form its next statement.
//! Nothing waits for a timer.
//!
//! Statements run on tasks of their own: a caller that goes away harms nobody, and leaves a
//! connection in the middle of nothing.

mod detour;
mod job;
mod kind;
mod lane;
mod queue;
mod under_way;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use idem_core::{RecordKey, spi::SeenKeys, store::StoreError};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

pub(crate) use job::Job;
use job::{Call, Reply, Said};
use lane::Lane;
use queue::Queues;

use crate::session::Sessions;

/// How many lanes a call may see lost under it before it was sent: each went down with a runtime.
const MAX_LANES_LOST: usize = 100;

/// How often one call is asked again because it raced with another and has no answer. Each time
/// somebody else's write went through.
const MAX_RACES: u32 = 1000;

/// Takes calls from any number of tasks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Batcher {
    shared: Arc<Shared>,
}

struct Shared {
    sessions: Sessions,
    queues: Mutex<Queues>,
    /// Keys that have a record, or had one.
    seen: SeenKeys,
}

impl Batcher {
    pub(crate) fn new(sessions: Sessions) -> Self {
        let config = sessions.config();
        Self {
            shared: Arc::new(Shared {
                queues: Mutex::new(Queues::new(config)),
                seen: SeenKeys::new(),
                sessions,
            }),
        }
    }

    /// Sends a call with whatever else is there to be sent.
    ///
    /// Dropping the future before the call was sent takes it back; later it changes nothing. A call
    /// that cannot be sent in time is taken back as well: of that it is certain that nothing was
    /// applied.
    pub(crate) async fn submit(&self, key: RecordKey, mut job: Job) -> Reply {
        let shared = &self.shared;
        let creates = job.creates();
        for _ in 0..MAX_LANES_LOST {
            let (reply, mut answer) = oneshot::channel();
            let seen = creates && shared.seen.has(key.as_str());
            let call = Call::new(job, seen, reply);
            let (id, free_lane) = shared.queues().push(key.clone(), call);
            if free_lane {
                start_lane(shared)?;
            }
            let limit = shared.sessions.config().send_timeout;
            let said = match timeout(limit, &mut answer).await {
                Ok(said) => said,
                Err(_) if shared.queues().withdraw(&key, id) => {
                    return Err(StoreError::unavailable(format!(
                        "the server is slow or away: the call was not sent within {limit:?}"
                    )));
                }
                Err(_) => answer.await,
            };
            match said {
                Ok(Said::Answer(reply)) => {
                    if creates && reply.is_ok() {
                        shared.seen.remember(key.as_str());
                    }
                    return reply;
                }
                Ok(Said::Unsent(unsent)) => job = unsent,
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
fn start_lane(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let lane = Lane::new(Arc::clone(shared));
    let runtime = Handle::try_current()
        .map_err(|error| StoreError::config("there is no tokio runtime").with_source(error))?;
    runtime.spawn(lane.run());
    Ok(())
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
