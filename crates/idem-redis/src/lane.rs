//! [`Lane`]: what is sent at the same time travels together.
//!
//! A request that finds few others under way goes by itself, at once. Further ones queue up, and one
//! task hands them to the driver as one pipeline: one place in its queue, one timeout and one wake-up
//! for all of them instead of one each; records to be read are read by one command, and records to be
//! replaced by the script are replaced by one run of it. Nothing waits for a timer: the task is run when
//! the runtime has run whatever else was ready, and what queued up until then goes along.
//!
//! Each request has an answer of its own. An error that the server answers to it is its caller's
//! alone; a broken connection leaves the outcome unknown to each. A caller that goes away takes its
//! request with it as long as that has not been sent, and holds nobody up (rule S10). A runtime that
//! goes down before it has sent what it was to carry gives each caller its request back.

mod carrier;
mod load;
mod queue;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use redis::{Cmd, Value};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    connection::{Connection, Replied, io_error},
    ended,
    error::Failure,
    scripts::{Replace, Replacement},
};
use carrier::{Errand, Unsent, Waiting};
use queue::{Apart, Counted, Queue, Said};

/// With so many requests under way, further ones queue up. Below, to wake a task for them would cost
/// more than it saves.
const APART: usize = 2;

/// A connection that many callers share.
pub(crate) struct Lane {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    replace: Replace,
    /// What makes the writes before it durable.
    wait: Option<Cmd>,
    queue: Apart<Mutex<Queue>>,
}

/// What a caller wants of the server.
pub(crate) enum Request {
    /// The value of the record of this name.
    Find(String),
    /// A command that reads.
    Read(Cmd),
    /// A command that writes.
    Write(Cmd),
    /// A record in the place of another.
    Replace(Replacement),
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
                queue: Apart(Mutex::default()),
            }),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// Sends a request about the record of this name.
    pub(crate) fn send<'a>(&'a self, name: &'a str, request: Request) -> Sending<'a> {
        let shared = &self.shared;
        let way = match shared.connection.server() {
            Some(_) => shared.join(name, request),
            None => shared.by_itself(name, request),
        };
        Sending { way, shared, name }
    }
}

/// A request on its way. Small, so that the futures around it are.
#[must_use]
pub(crate) struct Sending<'a> {
    way: Way<'a>,
    shared: &'a Shared,
    name: &'a str,
}

enum Way<'a> {
    Alone(Pin<Box<dyn Future<Output = Answered> + Send + 'a>>),
    Together(oneshot::Receiver<Said>),
}

impl Future for Sending<'_> {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        loop {
            let answer = match &mut self.way {
                Way::Alone(sending) => return sending.as_mut().poll(cx),
                Way::Together(answer) => answer,
            };
            match ready!(Pin::new(answer).poll(cx)) {
                Ok(Said::Answer(answered)) => return Poll::Ready(answered),
                Ok(Said::Unsent(request)) => {
                    self.way = self.shared.by_itself(self.name, *request);
                }
                Err(_) => {
                    let gone = "the runtime that carried the request is gone";
                    return Poll::Ready(Err(Failure::maybe(io_error(gone))));
                }
            }
        }
    }
}

impl Shared {
    fn by_itself<'a>(&'a self, name: &'a str, request: Request) -> Way<'a> {
        Way::Alone(Box::pin(self.alone(name, request)))
    }

    /// Joins others that are under way; if there are too few, goes by itself.
    fn join<'a>(self: &'a Arc<Self>, name: &'a str, request: Request) -> Way<'a> {
        let mut queue = self.lock();
        let waits_for_nobody = queue.waiting.is_empty();
        // Somebody has to carry what waits.
        let carrier = match waits_for_nobody && queue.under_way() >= APART {
            true => Handle::try_current().ok(),
            false => None,
        };
        queue.count();
        if waits_for_nobody && carrier.is_none() {
            drop(queue);
            let counted = Counted::new(self);
            return Way::Alone(Box::pin(async move {
                let _counted = counted;
                self.alone(name, request).await
            }));
        }
        let (caller, answer) = oneshot::channel();
        queue.waiting.add(request, caller);
        let (runtime, errand) = if queue.is_full()
            && let Ok(runtime) = Handle::try_current()
        {
            (runtime, Errand::Send(Unsent::take(self, &mut queue)))
        } else if let Some(runtime) = carrier
            && !queue.is_awaited_on(&runtime)
        {
            (runtime, Errand::Wait(Waiting::new(self)))
        } else {
            return Way::Together(answer);
        };
        let idle = queue.idle_on(&runtime);
        // An errand that cannot be run takes the lock.
        drop(queue);
        errand.give(idle, &runtime);
        Way::Together(answer)
    }

    async fn alone(&self, name: &str, request: Request) -> Answered {
        match request {
            Request::Find(_) => {
                let reply = self.connection.command(name, ended::get(name)).await?;
                Ok(Answer { reply, wait: None })
            }
            Request::Read(cmd) => {
                let reply = self.connection.command(name, cmd).await?;
                Ok(Answer { reply, wait: None })
            }
            Request::Write(cmd) => self.write(name, cmd).await,
            Request::Replace(replacement) => {
                let (terms, only) = (replacement.terms(), std::iter::once(&replacement));
                let by_digest = self.replace.by_digest(terms, only.clone());
                match self.write(name, by_digest).await {
                    Err(failure) if failure.is_script_unknown() => {
                        Box::pin(self.write(name, self.replace.by_text(terms, only))).await
                    }
                    answer => answer,
                }
            }
        }
    }

    async fn write(&self, name: &str, cmd: Cmd) -> Answered {
        let Some(wait) = &self.wait else {
            let reply = self.connection.command(name, cmd).await?;
            return Ok(Answer { reply, wait: None });
        };
        // Boxed, as what is rare in `alone`: each call by itself carries the future around.
        let pair = Box::pin(self.connection.pair(name, cmd, wait.clone()));
        let (reply, waited) = pair.await?;
        Ok(Answer {
            reply,
            wait: Some(Arc::new(waited)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
