//! [`Lane`]: what is sent at the same time travels together.
//!
//! A request that finds few others under way goes by itself, at once. Further ones queue up, and one
//! task hands them to the driver as one pipeline: one place in its queue, one timeout and one wake-up
//! for all of them instead of one each; and records to be replaced by the script are replaced by one
//! run of it. Nothing waits for a timer: the task is run when the runtime has run whatever else was
//! ready, and what queued up until then goes along.
//!
//! Each request has an answer of its own. An error that the server answers to it is its caller's
//! alone; a broken connection leaves the outcome unknown to each. A caller that goes away takes its
//! request with it as long as that has not been sent, and holds nobody up (rule S10).

mod load;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use redis::{Cmd, Value};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    connection::{Connection, Replied, io_error},
    error::Failure,
    scripts::{Replace, Replacement},
};
use load::{Caller, Load};

/// With so many requests under way, further ones queue up. Below, a task of their own would cost
/// more than it saves.
const APART: usize = 2;

/// So many requests go at once, and not when the runtime comes to it: the server shall not be idle
/// meanwhile.
const FULL: usize = 32;

/// A connection that many callers share.
pub(crate) struct Lane {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    replace: Replace,
    /// What makes the writes before it durable.
    wait: Option<Cmd>,
    under_way: AtomicUsize,
    queue: Mutex<Vec<Queued>>,
}

/// What a caller wants of the server.
pub(crate) enum Request {
    /// A command that reads.
    Read(Cmd),
    /// A command that writes.
    Write(Cmd),
    /// A record in the place of another.
    Replace(Replacement),
}

struct Queued {
    request: Request,
    caller: Caller,
}

/// The server's reply to a request, and to the wait for its durability, if there was one.
pub(crate) struct Answer {
    pub(crate) reply: Value,
    /// Shared by all that travelled together.
    pub(crate) wait: Option<Arc<Replied>>,
}

/// What becomes of a request.
pub(crate) type Answered = Result<Answer, Failure>;

impl Lane {
    pub(crate) fn new(connection: Connection, wait: Option<Cmd>) -> Self {
        Self {
            shared: Arc::new(Shared {
                connection,
                replace: Replace::new(),
                wait,
                under_way: AtomicUsize::new(0),
                queue: Mutex::default(),
            }),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// Sends a request about the record of this name.
    pub(crate) fn send<'a>(&'a self, name: &'a str, request: Request) -> Sending<'a> {
        let counted = Counted::new(&self.shared.under_way);
        let is_busy = counted.others >= APART && self.shared.connection.server().is_some();
        let runtime = is_busy.then(Handle::try_current).and_then(Result::ok);
        let way = match runtime {
            Some(runtime) => Way::Together(self.queue(&runtime, request)),
            None => Way::Alone(Box::pin(self.shared.alone(name, request))),
        };
        Sending {
            way,
            _counted: counted,
        }
    }

    fn queue(&self, runtime: &Handle, request: Request) -> oneshot::Receiver<Answered> {
        let (caller, answer) = oneshot::channel();
        let mut queue = self.shared.lock();
        queue.push(Queued { request, caller });
        match queue.len() {
            1 => {
                drop(queue);
                runtime.spawn(Waiting(Some(Arc::clone(&self.shared))).carry());
            }
            FULL => {
                let full = std::mem::take(&mut *queue);
                drop(queue);
                runtime.spawn(Arc::clone(&self.shared).carry(full));
            }
            _ => {}
        }
        answer
    }
}

/// A request on its way. Small, so that the futures around it are.
#[must_use]
pub(crate) struct Sending<'a> {
    way: Way<'a>,
    _counted: Counted<'a>,
}

enum Way<'a> {
    Alone(Pin<Box<dyn Future<Output = Answered> + Send + 'a>>),
    Together(oneshot::Receiver<Answered>),
}

impl Future for Sending<'_> {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        match &mut self.way {
            Way::Alone(sending) => sending.as_mut().poll(cx),
            Way::Together(answer) => Pin::new(answer).poll(cx).map(|answered| {
                answered.unwrap_or_else(|_| {
                    let gone = "the runtime that carried the request is gone";
                    Err(Failure::maybe(io_error(gone)))
                })
            }),
        }
    }
}

impl Shared {
    async fn alone(&self, name: &str, request: Request) -> Answered {
        match request {
            Request::Read(cmd) => {
                let reply = self.connection.command(name, cmd).await?;
                Ok(Answer { reply, wait: None })
            }
            Request::Write(cmd) => self.write(name, cmd).await,
            Request::Replace(replacement) => {
                let only = std::slice::from_ref(&replacement);
                let answer = match self.write(name, self.replace.by_digest(only)).await {
                    Err(failure) if failure.is_script_unknown() => {
                        self.write(name, self.replace.by_text(only)).await
                    }
                    answer => answer,
                }?;
                Ok(Answer {
                    reply: Replace::reply(answer.reply)?,
                    wait: answer.wait,
                })
            }
        }
    }

    async fn write(&self, name: &str, cmd: Cmd) -> Answered {
        let Some(wait) = &self.wait else {
            let reply = self.connection.command(name, cmd).await?;
            return Ok(Answer { reply, wait: None });
        };
        let (reply, waited) = self.connection.pair(name, cmd, wait.clone()).await?;
        Ok(Answer {
            reply,
            wait: Some(Arc::new(waited)),
        })
    }

    async fn carry(self: Arc<Self>, mut queued: Vec<Queued>) {
        queued.retain(|queued| !queued.caller.is_closed());
        if let Some(server) = self.connection.server()
            && !queued.is_empty()
        {
            let load = Load::of(queued);
            load.deliver(server, &self.replace, self.wait.as_ref())
                .await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Queued>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Comes back when the runtime's thread has run the tasks that are ready now. Tokio's `yield_now`
/// looks for input first, and wakes another thread.
async fn after_what_is_ready() {
    let mut is_back = false;
    poll_fn(|cx| match std::mem::replace(&mut is_back, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// What queues up, until it is sent. A runtime that is shut down drops its tasks, also those that
/// never ran, and nobody else would send it.
struct Waiting(Option<Arc<Shared>>);

impl Waiting {
    async fn carry(mut self) {
        after_what_is_ready().await;
        if let Some(shared) = self.0.take() {
            let queued = std::mem::take(&mut *shared.lock());
            shared.carry(queued).await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.lock().clear();
        }
    }
}

/// A request under way.
struct Counted<'a> {
    under_way: &'a AtomicUsize,
    others: usize,
}

impl<'a> Counted<'a> {
    fn new(under_way: &'a AtomicUsize) -> Self {
        let others = under_way.fetch_add(1, Ordering::Relaxed);
        Self { under_way, others }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
