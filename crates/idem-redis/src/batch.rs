//! [`Batches`]: requests that are made at the same time share a pipeline.
//!
//! A request that finds nothing under way goes out at once. Others pass through a bounded channel to a
//! task, which takes up to a quarter of what is outstanding and sends it as one pipeline: a *flush*. Several
//! flushes are under way at once. Within a flush all records to read are read by one `MGET`, and all
//! records to replace are replaced by one run of the script.
//!
//! There is one task for each runtime that requests come from, because a runtime that is shut down or
//! not driven must not hold up requests that were made on another one.
//!
//! Large requests have batches and a connection of their own: one that is long under way, or gets stuck,
//! holds up no other. A renewal that waited behind a large answer would cost its holder the key (G1). What
//! is written of the same record goes behind it all the same ([`Apart`]).
//!
//! Each request has its own answer. If the server refuses the commands that stand for several requests,
//! each request is sent again by itself. A request whose caller is gone is dropped unless it was sent
//! already (rule S10).

mod apart;
mod exchange;
mod line;
mod task;

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use redis::{Cmd, Value};
use tokio::{
    runtime::{self, Handle},
    sync::{mpsc, oneshot},
};

use self::apart::Apart;
use crate::{
    connection::{Replied, io_error},
    error::Failure,
    scripts::Replacement,
};

pub(crate) use line::{Line, alone};

/// With fewer requests under way, a request goes out by itself: waking the task would cost more than a
/// shared pipeline saves.
const DIRECT: usize = 2;

/// Requests that may wait for a task; further callers wait for room.
const QUEUE: usize = 1024;

/// From so many bytes on a request is large.
const LARGE: usize = 64 << 10;

/// What a caller wants of the server.
pub(crate) enum Request {
    /// The value of the record with this name.
    Get(String),
    /// The value of the record with this name, and the ttl it has left.
    Read(String),
    /// A command that writes.
    Write(Cmd),
    /// A record in the place of another one, by the script.
    Replace(Replacement),
}

/// The server's answer to one request.
pub(crate) enum Answer {
    /// To a command that writes: the reply, and the reply to the wait for its durability.
    Wrote {
        reply: Value,
        wait: Option<Arc<Replied>>,
    },
    /// To a read. Shared by all who asked for the same name.
    Read {
        value: Option<Bytes>,
        /// As `PTTL` answers. Not asked for by [`Request::Get`]; not known if the record was replaced
        /// while it was read.
        ttl: Option<i64>,
    },
}

pub(crate) type Answered = Result<Answer, Failure>;

/// A request that waits for a task, and where its answer goes.
struct Call {
    request: Request,
    caller: oneshot::Sender<Answered>,
}

/// The requests to one server.
pub(crate) struct Batches {
    line: Arc<Line>,
    /// Requests that were made and not answered.
    under_way: Arc<AtomicUsize>,
    tasks: RwLock<Vec<(runtime::Id, mpsc::Sender<Call>)>>,
    /// The large ones, where another connection can be opened for them.
    large: Option<Box<Batches>>,
    /// What went there last, as far as it has no answer.
    apart: Apart,
}

impl Batches {
    pub(crate) fn new(line: Line) -> Self {
        let large = line.beside().map(|line| Box::new(Self::over(line, None)));
        Self::over(line, large)
    }

    fn over(line: Line, large: Option<Box<Self>>) -> Self {
        Self {
            line: Arc::new(line),
            under_way: Arc::default(),
            tasks: RwLock::default(),
            large,
            apart: Apart::default(),
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// If the runtime that this was first polled on is shut down meanwhile, the outcome is unknown.
    pub(crate) async fn send(&self, request: Request) -> Answered {
        let bytes = request.bytes();
        if let Some(large) = &self.large
            && (bytes >= LARGE || self.apart.goes_behind(&request))
        {
            return Box::pin(self.send_apart(large, request)).await;
        }
        self.line.admit(bytes)?;
        let others = self.under_way.fetch_add(1, Ordering::Relaxed);
        let _counted = Counted(&self.under_way);
        let runtime = match others < DIRECT {
            true => None,
            false => Handle::try_current().ok(),
        };
        let Some(runtime) = runtime else {
            // Boxed: it would make every waiting call's future larger.
            return Box::pin(self.line.send_one(request)).await;
        };
        let (caller, answer) = oneshot::channel();
        let gone = || Failure::maybe(io_error("the runtime that sent the request is gone"));
        let call = Call { request, caller };
        let task = self.task(&runtime);
        if let Err(mpsc::error::TrySendError::Full(call)) = task.try_send(call) {
            task.send(call).await.map_err(|_| gone())?;
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn send_apart(&self, large: &Self, request: Request) -> Answered {
        let name = request.name();
        if request.bytes() >= LARGE {
            self.apart.add(&name);
        }
        let answered = large.send(request).await;
        if answered.is_ok() {
            self.apart.remove(&name);
        }
        answered
    }

    /// The task of this runtime, spawned if there is none.
    fn task(&self, runtime: &Handle) -> mpsc::Sender<Call> {
        let of = |tasks: &[(runtime::Id, mpsc::Sender<Call>)]| {
            let task = tasks.iter().find(|(id, _)| *id == runtime.id());
            task.map(|(_, calls)| calls.clone())
        };
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = of(&tasks) {
            return task;
        }
        drop(tasks);
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = of(&tasks) {
            return task;
        }
        // Those of runtimes that were shut down.
        tasks.retain(|(_, calls)| !calls.is_closed());
        let (calls, queue) = mpsc::channel(QUEUE);
        let (line, under_way) = (Arc::clone(&self.line), Arc::clone(&self.under_way));
        runtime.spawn(task::run(line, under_way, queue));
        tasks.push((runtime.id(), calls.clone()));
        calls
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Request {
    /// Takes the request, and leaves one that is not to be sent.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Get(String::new()))
    }

    /// What it takes on the wire, but for a few words.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Get(name) | Self::Read(name) => name.len(),
            Self::Write(cmd) => cmd
                .args_iter()
                .map(|arg| match arg {
                    redis::Arg::Simple(bytes) => bytes.len(),
                    _ => 0,
                })
                .sum(),
            Self::Replace(replacement) => replacement.len(),
        }
    }

    /// The name of the record that this reads.
    fn reads(&self) -> Option<&str> {
        match self {
            Self::Get(name) | Self::Read(name) => Some(name),
            Self::Write(_) | Self::Replace(_) => None,
        }
    }

    /// The record's name; in a Cluster it decides about the node.
    fn name(&self) -> String {
        match self {
            Self::Get(name) | Self::Read(name) => name.clone(),
            Self::Replace(replacement) => replacement.name.clone(),
            Self::Write(cmd) => {
                let mut args = cmd.args_iter().filter_map(|arg| match arg {
                    redis::Arg::Simple(bytes) => Some(bytes),
                    _ => None,
                });
                let name = match args.next() {
                    Some(b"EVALSHA" | b"EVAL") => args.nth(2),
                    _ => args.next(),
                };
                String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
            }
        }
    }
}
