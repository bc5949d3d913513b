//! Putting an engine together.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::{Idempotency, Shared, wait::Waiters};
use crate::{
    Policy,
    error::PolicyError,
    observe::{Labels, store_name},
    store::{Store, Watch},
    testing::Testing,
};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the engine's background work: detached executions, and one task per engine that renews
/// leases and goes on with endings that the store has not taken.
///
/// By default (feature `rt`) a task goes to the tokio runtime that the call is made on. The task
/// that renews is started there by the first work that lasts, and started again on another runtime
/// if that one is shut down or driven by nobody.
///
/// ```
/// use idem_core::spi::Spawner;
///
/// # fn example(background: tokio::runtime::Handle) {
/// // Renewals on a runtime of their own, which no handler can block.
/// let spawner = Spawner::new(move |task| drop(background.spawn(task)));
/// # }
/// ```
#[derive(Clone)]
pub struct Spawner(Arc<dyn Fn(Task) + Send + Sync>);

impl Spawner {
    /// Spawns with this function.
    pub fn new(spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.0)(Box::pin(task));
    }

    /// On the current tokio runtime; work spawned from outside of one is lost, and says so.
    #[cfg(feature = "rt")]
    fn tokio() -> Self {
        Self::new(|task| match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task)),
            Err(_) => tracing::error!("no tokio runtime here: background work was not started"),
        })
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}

/// Puts an [`Idempotency`] together.
#[must_use = "call `build`"]
pub struct Builder {
    store: Arc<dyn Store>,
    watch: Option<Arc<dyn Watch>>,
    name: String,
    policy: Policy,
    spawner: Option<Spawner>,
    testing: Testing,
}

impl Builder {
    pub(super) fn new<S: Store + 'static>(store: S) -> Self {
        Self {
            store: Arc::new(store),
            name: store_name::<S>(),
            watch: None,
            policy: Policy::default(),
            spawner: None,
            testing: Testing::default(),
        }
    }

    /// Sets the knobs.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Names the store in the label `store` of this engine's histograms. By default it has the name of
    /// its type: `redis` for `RedisStore`. At most 64 bytes are kept.
    ///
    /// ```
    /// # use idem_core::{Idempotency, error::PolicyError, store::Store};
    /// # fn example(store: impl Store + 'static) -> Result<Idempotency, PolicyError> {
    /// Idempotency::builder(store).name("payments-db").build()
    /// # }
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Wakes waiters by the store's notifications. An ending in another process or engine then ends
    /// a wait at once instead of at the next poll.
    ///
    /// ```
    /// use idem_core::{Idempotency, error::PolicyError, store::{Store, Watch}};
    ///
    /// # fn example(store: impl Store + Watch + Clone + 'static) -> Result<Idempotency, PolicyError> {
    /// Idempotency::builder(store.clone()).watch(store).build()
    /// # }
    /// ```
    pub fn watch(mut self, watch: impl Watch + 'static) -> Self {
        self.watch = Some(Arc::new(watch));
        self
    }

    /// Runs background work elsewhere than on the current tokio runtime; see [`Spawner`].
    pub fn spawner(mut self, spawner: Spawner) -> Self {
        self.spawner = Some(spawner);
        self
    }

    /// Sets what simulations and suites need and no service does; see [`Testing`].
    pub fn testing(mut self, testing: Testing) -> Self {
        self.testing = testing;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`PolicyError`] when the knobs cannot work together.
    pub fn build(self) -> Result<Idempotency, PolicyError> {
        match self.policy.validate() {
            Err(PolicyError::CallTimeoutTooLong { .. }) if self.testing.slow_calls => {}
            checked => checked?,
        }
        #[cfg(feature = "rt")]
        let spawner = self.spawner.unwrap_or_else(Spawner::tokio);
        #[cfg(not(feature = "rt"))]
        let spawner = self.spawner.ok_or(PolicyError::NoSpawner)?;
        let shared = Shared {
            store: self.store,
            watch: self.watch,
            labels: Labels::of(&self.name),
            spawner,
            waiters: Waiters::default(),
            entropy: self.testing.entropy,
            wall_clock: self.testing.wall_clock,
            keeper: Default::default(),
            outage: Default::default(),
            background: Default::default(),
        };
        Ok(Idempotency::tuned(Arc::new(shared), self.policy))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
