//! [`Consumer::run`]: messages of a source, worked on side by side.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use idem_core::{Context, Failure, store::StoreError};
use serde::Serialize;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use crate::{
    Consumer, Deferral, Message, Source, SourceError, SourceErrorKind, Verdict, ended::catching,
    observe,
};

/// How many deliveries came to which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Messages that were worked off.
    pub done: u64,
    /// Repeats that were acknowledged without running.
    pub repeats: u64,
    /// Deliveries that were put off.
    pub deferred: u64,
    /// Messages that went to the dead letters.
    pub dead_letters: u64,
    /// Deliveries of which the broker could not be told the verdict; they come again.
    pub unsettled: u64,
    /// Handlers that were dropped because the drain took too long.
    pub dropped: u64,
}

/// Why a run ended although nobody stopped it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The store is set up wrong.
    #[error("consuming was halted, the store is set up wrong: {0}")]
    Halted(#[source] StoreError),
    /// The source is set up wrong.
    #[error("consuming was halted: {0}")]
    Source(#[source] SourceError),
}

/// What one delivery came to.
enum Settled {
    As(&'static str),
    Unsettled,
    Halt(StoreError),
}

impl Consumer {
    /// Takes messages from a source, works each off once, and tells the broker, until `stop` resolves
    /// or the source ends.
    ///
    /// At most [`concurrency`](crate::Builder::concurrency) messages are worked on at once, each on a
    /// task of its own. While a handler runs, its lease is renewed and the broker's timeout extended.
    /// While the store is away, messages are taken slowly, so that the queue is not stirred for nothing.
    ///
    /// Once stopped, it takes no more, gives back what did not start, and waits for what runs, for
    /// [`drain_timeout`](crate::Builder::drain_timeout) at most. Endings that the store has not taken yet
    /// go on in the background: call
    /// [`Idempotency::wait_idle`](idem_core::Idempotency::wait_idle) before the process ends.
    ///
    /// ```no_run
    /// use idem_consumer::{Consumer, Message, Source};
    /// use idem_core::{Context, Failure};
    ///
    /// async fn pack(context: Context, message: Message) -> Result<(), Failure<String>> {
    ///     println!("{} bytes under {}", message.body().len(), context.key());
    ///     Ok(())
    /// }
    ///
    /// # async fn example(
    /// #     consumer: Consumer, source: impl Source, stop: impl Future<Output = ()>,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let summary = consumer.run(source, pack, stop).await?;
    /// println!("{} done, {} repeats", summary.done, summary.repeats);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RunError`] when the store or the source is set up wrong. What runs is finished first.
    ///
    /// # Cancel safety
    /// Dropping the future drops all handlers: each counts as a crash half-way.
    pub async fn run<S, H, F, T, E>(
        &self,
        source: S,
        handler: H,
        stop: impl Future<Output = ()>,
    ) -> Result<Summary, RunError>
    where
        S: Source,
        H: Fn(Context, Message) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure<E>>> + Send + 'static,
        T: Serialize + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let (source, handler) = (Arc::new(source), Arc::new(handler));
        let mut crew = Crew::default();
        let mut stop = pin!(stop);
        let mut failures = 0;
        let mut next = None;
        while crew.halted.is_none() {
            let room = self.tuned.concurrency.saturating_sub(crew.tasks.len());
            if room == 0 {
                tokio::select! {
                    () = &mut stop => break,
                    () = crew.one_is_over() => continue,
                }
            }
            // Kept from round to round: a source's `next` is not dropped because a handler ended.
            let taking = next.get_or_insert_with(|| {
                let (consumer, source) = (self.clone(), Arc::clone(&source));
                Box::pin(async move {
                    if failures > 0 {
                        sleep(consumer.tuned.backoff.after(failures)).await;
                    } else if consumer.tuned.outage.lasts() {
                        sleep(consumer.tuned.backoff.first()).await;
                    }
                    source.next(room).await
                })
            });
            let taken = tokio::select! {
                () = &mut stop => break,
                () = crew.one_is_over(), if !crew.tasks.is_empty() => continue,
                taken = taking => taken,
            };
            next = None;
            match taken {
                Ok(Some(delivery)) => {
                    failures = 0;
                    let (consumer, source) = (self.clone(), Arc::clone(&source));
                    let handler = Arc::clone(&handler);
                    crew.tasks
                        .spawn(async move { consumer.work_off(source, delivery, &*handler).await });
                }
                Ok(None) => break,
                Err(error) if error.kind() == SourceErrorKind::Config => {
                    crew.halted = Some(RunError::Source(error));
                }
                Err(error) => {
                    failures += 1;
                    observe::no_next(&error);
                }
            }
        }
        drop(next);
        source.close().await;
        crew.drain(self.tuned.drain).await
    }

    async fn work_off<S, H, F, T, E>(
        &self,
        source: Arc<S>,
        delivery: S::Delivery,
        handler: &H,
    ) -> Settled
    where
        S: Source,
        H: Fn(Context, Message) -> F,
        F: Future<Output = Result<T, Failure<E>>>,
        T: Serialize,
        E: fmt::Display,
    {
        let delivery = Arc::new(delivery);
        let message = source.message(&delivery);
        let extending = Extending::begin(&source, &delivery);
        // The new task is next in line on this thread, and no other thread takes it from there: let it
        // start its timer before work that may block the thread.
        tokio::task::yield_now().await;
        let work = |context| handler(context, message.clone());
        // The application's own functions for key, scope and fingerprint may panic.
        let handled = catching(self.handle(&message, work)).await;
        let verdict = handled.unwrap_or_else(|error| Verdict::Defer {
            delay: self.tuned.backoff.after(u32::MAX),
            cause: Deferral::Failed { attempt: 0, error },
        });
        drop(extending);
        let name = verdict.name();
        let settled = match verdict {
            Verdict::Ack(_) => source.ack(&delivery).await,
            Verdict::Defer { delay, .. } => source.defer(&delivery, delay).await,
            Verdict::DeadLetter(reason) => match source.dead_letter(&delivery, &reason).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    observe::not_settled(name, &error);
                    let delay = self.tuned.backoff.after(u32::MAX);
                    let _ = source.defer(&delivery, delay).await;
                    return Settled::Unsettled;
                }
            },
            Verdict::Halt(error) => {
                let delay = self.tuned.backoff.after(1);
                if let Err(error) = source.defer(&delivery, delay).await {
                    observe::not_settled(name, &error);
                }
                return Settled::Halt(error);
            }
        };
        match settled {
            Ok(()) => Settled::As(name),
            Err(error) => {
                observe::not_settled(name, &error);
                Settled::Unsettled
            }
        }
    }
}

/// The handlers that run, and what came of those that did.
#[derive(Default)]
struct Crew {
    tasks: JoinSet<Settled>,
    summary: Summary,
    halted: Option<RunError>,
}

impl Crew {
    async fn one_is_over(&mut self) {
        let Some(over) = self.tasks.join_next().await else {
            return;
        };
        let Summary {
            done,
            repeats,
            deferred,
            dead_letters,
            unsettled,
            dropped,
        } = &mut self.summary;
        let count = match over {
            Ok(Settled::As("done")) => done,
            Ok(Settled::As("repeat")) => repeats,
            Ok(Settled::As("deferred")) => deferred,
            Ok(Settled::As(_)) => dead_letters,
            Ok(Settled::Unsettled) => unsettled,
            Ok(Settled::Halt(error)) => {
                self.halted.get_or_insert(RunError::Halted(error));
                deferred
            }
            Err(_) => dropped,
        };
        *count += 1;
    }

    async fn drain(mut self, limit: Duration) -> Result<Summary, RunError> {
        let all = async {
            while !self.tasks.is_empty() {
                self.one_is_over().await;
            }
        };
        if timeout(limit, all).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "handlers took too long to drain");
            self.tasks.abort_all();
            while !self.tasks.is_empty() {
                self.one_is_over().await;
            }
        }
        match self.halted {
            Some(error) => Err(error),
            None => Ok(self.summary),
        }
    }
}

/// The bounds of [`Source::extend_every`].
const MOST_OFTEN: Duration = Duration::from_millis(1);
const LEAST_OFTEN: Duration = Duration::from_secs(24 * 3600);

/// Extends the broker's timeout of a delivery, on a task of its own: work that blocks its thread is
/// extended all the same.
struct Extending(Option<AbortHandle>);

impl Extending {
    fn begin<S: Source>(source: &Arc<S>, delivery: &Arc<S::Delivery>) -> Self {
        let Some(every) = source.extend_every() else {
            return Self(None);
        };
        let every = every.clamp(MOST_OFTEN, LEAST_OFTEN);
        let (source, delivery) = (Arc::clone(source), Arc::clone(delivery));
        let task = tokio::spawn(async move {
            let mut ticks = interval_at(Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = source.extend(&delivery).await {
                    observe::not_extended(&error);
                }
            }
        });
        Self(Some(task.abort_handle()))
    }
}

impl Drop for Extending {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
