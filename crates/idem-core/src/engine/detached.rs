//! Execution on a task of its own.

use std::future::Future;

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::{Context, Failure, Idempotency, Outcome, background::Counted};
use crate::{Fingerprint, RecordKey, error::ExecuteError};

impl Idempotency {
    /// Runs a task in the background, on the engine's [`Spawner`](crate::spi::Spawner).
    /// [`wait_idle`](Self::wait_idle) waits for it. For code that drives an
    /// [`Execution`](crate::Execution) by hand.
    pub fn detach(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared().spawn(task);
    }

    /// Counts a future, for [`wait_idle`](Self::wait_idle), from now until it ends or is dropped.
    ///
    /// For work that cannot go through [`detach`](Self::detach) because it is not `Send`: hand what
    /// this returns to `tokio::task::spawn_local` or the like.
    ///
    /// ```
    /// # async fn example(idem: idem_core::Idempotency) {
    /// let shared = std::rc::Rc::new(17);
    /// let work = async move { assert_eq!(*shared, 17) };
    /// tokio::task::LocalSet::new().spawn_local(idem.counted(work));
    /// # }
    /// ```
    pub fn counted<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        let counted = Counted::new(std::sync::Arc::clone(self.shared()));
        async move {
            let _counted = counted;
            task.await
        }
    }

    /// [`execute`](Self::execute) on a task of its own: if the caller goes away, the work goes on,
    /// and a repeat gets its answer.
    ///
    /// The task starts at once, whether or not the returned future is polled.
    /// [`wait_idle`](Self::wait_idle) waits for such tasks at shutdown.
    ///
    /// ```
    /// # use idem_core::{Failure, Fingerprint, Idempotency, RecordKey};
    /// # async fn example(idem: Idempotency, key: RecordKey) -> Result<(), Box<dyn std::error::Error>> {
    /// let fingerprint = Fingerprint::of("reports/v1", b"2026-11");
    /// let answer = idem.execute_detached(key, fingerprint, async |_| {
    ///     Ok::<_, Failure<String>>("report 17".to_owned())
    /// });
    /// println!("{}", answer.await?.value);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The future gives what `execute` gives, and [`ExecuteError::Lost`] when the runtime dropped
    /// the task before its end.
    ///
    /// # Cancel safety
    /// Dropping the returned future changes nothing for the work.
    pub fn execute_detached<T, E, W, F>(
        &self,
        key: RecordKey,
        fingerprint: Fingerprint,
        work: W,
    ) -> impl Future<Output = Result<Outcome<T>, ExecuteError<E>>> + Send + use<T, E, W, F>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Serialize + DeserializeOwned + Send + 'static,
        W: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = Result<T, Failure<E>>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let engine = self.clone();
        self.shared().spawn(async move {
            // Nobody may be listening any more; the record has the answer.
            let _ = answer.send(engine.execute(&key, &fingerprint, work).await);
        });
        async move { answered.await.unwrap_or(Err(ExecuteError::Lost)) }
    }
}
