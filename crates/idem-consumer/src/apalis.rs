//! A layer for apalis 1: its services are tower services over a `Task`.
//!
//! A task's arguments, as JSON, are the message's body. Its `idempotency_key()` is the header
//! [`KEY`], and its id the broker id; so [`KeyFrom::header`](crate::KeyFrom::header)`(KEY)`,
//! [`KeyFrom::broker_id`](crate::KeyFrom::broker_id) and [`KeyFrom::pointer`](crate::KeyFrom::pointer) all
//! work. The handler takes idem's [`Context`] as `Data<Context>`.
//!
//! # Errors
//! apalis and idem differ in what an error says that says nothing more: apalis tries the task again, idem
//! takes it for final, since its effect may have happened. Here apalis's habit holds, as its users expect:
//!
//! | the handler's error | in idem | |
//! |---|---|---|
//! | `AbortError` | `Failure::Final` | stored; each repeat is told the same |
//! | any other, `RetryAfterError` and `DeferredError` among them | `Failure::Retryable` | the next attempt runs, with the same derived keys and the last checkpoint |
//!
//! | verdict | what apalis is told |
//! |---|---|
//! | acknowledge | the handler's response, or the stored one; a repeat of a task whose response was too large to keep gets `AbortError` with [`ResponseNotKept`], unless the type reads `null` |
//! | defer | `RetryAfterError` with the delay |
//! | dead letter | `AbortError` with the reason: the task is killed |
//! | halt | `RetryAfterError`: a layer cannot stop its worker |
//!
//! Whether the task of a `RetryAfterError` comes again, and when, is up to the backend and its retry
//! policy, and each time counts as an attempt of apalis: allow for more of them than the engine does.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as Waker, Poll},
    time::Duration,
};

use apalis_core::{
    error::{AbortError, BoxDynError, RetryAfterError},
    task::Task,
};
use idem_core::{Context, Failure};
use serde::{Serialize, de::DeserializeOwned};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Consumer, Message, Verdict};

/// The header that stands for a task's `idempotency_key()`.
pub const KEY: &str = "Idempotency-Key";

/// After what time a task is tried again whose store is set up wrong.
const HALTED: Duration = Duration::from_secs(60);

/// Works each task off once, however often it is taken from its backend.
///
/// ```
/// use apalis_core::{
///     backend::{TaskSink, memory::MemoryStorage},
///     task::data::Data,
///     worker::{builder::WorkerBuilder, context::WorkerContext},
/// };
/// use idem_consumer::{Consumer, KeyFrom, apalis::IdempotencyLayer};
/// use idem_core::{Context, Idempotency, Scope};
/// use idem_memory::MemoryStore;
///
/// async fn pack(parcel: u32, context: Data<Context>, worker: WorkerContext) {
///     println!("parcel {parcel} under {:?}", context.derive_key("book"));
///     worker.stop().unwrap();
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let idem = Idempotency::new(MemoryStore::new());
/// let consumer = Consumer::builder(idem, Scope::new("parcels")?, KeyFrom::broker_id()).build()?;
/// let mut parcels = MemoryStorage::new();
/// parcels.push(17).await?;
/// let worker = WorkerBuilder::new("packer")
///     .backend(parcels)
///     .layer(IdempotencyLayer::new(consumer))
///     .build(pack);
/// worker.run().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct IdempotencyLayer {
    consumer: Consumer,
}

impl IdempotencyLayer {
    /// A layer over a consumer. Its concurrency, drain and backoff are apalis's business here, but for the
    /// delays of what is deferred.
    #[must_use]
    pub fn new(consumer: Consumer) -> Self {
        Self { consumer }
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotent<S>;

    fn layer(&self, service: S) -> Self::Service {
        Idempotent {
            consumer: self.consumer.clone(),
            service,
        }
    }
}

/// A service whose tasks are worked off once.
#[derive(Debug, Clone)]
pub struct Idempotent<S> {
    consumer: Consumer,
    service: S,
}

impl<S, Args> Service<Task<Args>> for Idempotent<S>
where
    S: Service<Task<Args>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxDynError>,
    S::Response: Serialize + DeserializeOwned + Send,
    Args: Serialize + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), BoxDynError>> {
        self.service.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Args>) -> Self::Future {
        // The one that is ready is called; its clone is for the next task.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        let consumer = self.consumer.clone();
        Box::pin(async move {
            let message = message(&task).map_err(AbortError::new)?;
            let mut response = None;
            let own = &mut response;
            let work = move |context: Context| async move {
                let mut task = task;
                task.inject_data(context);
                let answered = service.call(task).await;
                let answered = answered.map_err(|error| failure(&error.into()));
                answered.map(|response| &*own.insert(response))
            };
            let verdict = consumer.handle(&message, work).await;
            answer(verdict, response)
        })
    }
}

fn message<Args: Serialize>(task: &Task<Args>) -> Result<Message, serde_json::Error> {
    let mut message = Message::new(serde_json::to_vec(&task.args)?);
    if let Some(key) = task.ctx().idempotency_key() {
        message = message.with_header(KEY, key.to_owned());
    }
    Ok(match task.ctx().task_id() {
        Some(id) => message.with_broker_id(id.to_string()),
        None => message,
    })
}

fn failure(error: &BoxDynError) -> Failure<String> {
    let words = error.to_string();
    match error.is::<AbortError>() {
        true => Failure::Final(words),
        false => Failure::Retryable(words),
    }
}

/// `own` is what the handler answered just now.
fn answer<T: DeserializeOwned>(verdict: Verdict, own: Option<T>) -> Result<T, BoxDynError> {
    match verdict {
        Verdict::Ack(done) => match (own, serde_json::from_slice(&done.answer)) {
            // The store did not take it.
            (Some(own), _) if done.answer == NULL => Ok(own),
            (_, Ok(answer)) => Ok(answer),
            (_, Err(_)) if done.answer == NULL => Err(AbortError::new(ResponseNotKept).into()),
            (_, Err(error)) => Err(AbortError::new(error).into()),
        },
        Verdict::Defer { delay, cause } => Err(RetryAfterError::new(cause, delay).into()),
        Verdict::DeadLetter(reason) => Err(AbortError::new(reason).into()),
        Verdict::Halt(error) => Err(RetryAfterError::new(error, HALTED).into()),
    }
}

/// An answer that is not there.
const NULL: &str = "null";

/// The task was done by an earlier delivery, and its response was too large for the store to keep.
///
/// It is the source of an `AbortError`: the task is over, and does not run again.
///
/// ```
/// use apalis_core::error::{AbortError, BoxDynError};
/// use idem_consumer::apalis::ResponseNotKept;
///
/// fn was_done(error: &BoxDynError) -> bool {
///     let source = error.downcast_ref::<AbortError>().and_then(std::error::Error::source);
///     source.is_some_and(|source| source.is::<ResponseNotKept>())
/// }
/// # assert!(was_done(&AbortError::new(ResponseNotKept).into()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task was done before, and its response was too large to keep")]
pub struct ResponseNotKept;
