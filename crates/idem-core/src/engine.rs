//! [`Idempotency`]: the machine, driven over a store.

mod background;
mod builder;
mod call;
mod claim;
mod context;
mod deadline;
mod detached;
mod entropy;
mod execute;
mod keeper;
mod outage;
mod resolve;
mod run;
mod wait;
mod wall_clock;

pub(crate) use call::{Budget, MAX_ROUNDS, endless, in_place};
pub(crate) use entropy::Entropy;
pub(crate) use wall_clock::WallClock;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

pub use builder::{Builder, Spawner};
pub use claim::Claim;
pub use context::Context;
pub use execute::{Failure, Outcome, Recording};
pub use run::{Ran, Stopped, panic_message};

use crate::{
    Policy, RecordKey,
    error::PolicyError,
    machine::{Op, Reply},
    observe::{Labels, Measures},
    store::{Store, StoreError, Stored, Watch},
};

/// The engine: claims keys, runs work under them, and stores how it ended.
///
/// Cheap to clone; clones share the store, the waiters and the background work. One engine per
/// store is enough for a process: [`with_policy`](Self::with_policy) gives a route or a job kind
/// knobs of its own.
///
/// ```
/// use idem_core::{Failure, Fingerprint, Idempotency, RecordKey};
///
/// async fn charge(cents: u64) -> Result<u64, Failure<String>> {
///     Ok(cents + 17) // charge the card, and return the charge's id
/// }
///
/// # async fn example(store: impl idem_core::store::Store + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// let idem = Idempotency::new(store);
/// let key = RecordKey::new("merchant-7", "order-4711")?;
/// let request = Fingerprint::of("payments/v1", b"500 usd");
///
/// let paid = idem.execute(&key, &request, async |_| charge(500).await).await?;
/// assert!(!paid.replayed); // a repeat gets the same id, with `replayed` true
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Idempotency {
    tuned: Arc<Tuned>,
}

/// An engine with its knobs.
struct Tuned {
    shared: Arc<Shared>,
    policy: Policy,
    measures: OnceLock<Measures>,
}

/// What all clones have in common.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) watch: Option<Arc<dyn Watch>>,
    pub(crate) labels: Labels,
    pub(crate) spawner: Spawner,
    pub(crate) entropy: Entropy,
    pub(crate) wall_clock: WallClock,
    pub(crate) waiters: wait::Waiters,
    pub(crate) keeper: Arc<keeper::Keeper>,
    pub(crate) outage: outage::Outage,
    pub(crate) background: background::Background,
}

impl Idempotency {
    /// An engine over a store, with the default [`Policy`].
    #[cfg(feature = "rt")]
    pub fn new(store: impl Store + 'static) -> Self {
        let built = Self::builder(store).build();
        built.expect("the default policy is valid, and `rt` brings a spawner")
    }

    /// Starts an engine over a store, to set its policy and more.
    ///
    /// ```
    /// use std::time::Duration;
    /// use idem_core::{Idempotency, OnBusy, Policy, error::PolicyError, store::Store};
    ///
    /// # fn example(store: impl Store + 'static) -> Result<Idempotency, PolicyError> {
    /// let policy = Policy::default().on_busy(OnBusy::Wait(Duration::from_secs(5)));
    /// Idempotency::builder(store).policy(policy).build()
    /// # }
    /// ```
    pub fn builder(store: impl Store + 'static) -> Builder {
        Builder::new(store)
    }

    /// The same engine with other knobs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use idem_core::{Idempotency, OnAbandoned, error::PolicyError};
    ///
    /// # fn example(idem: Idempotency) -> Result<(), PolicyError> {
    /// // A payout that vanished half-way is looked into by a person. Everything else as before.
    /// let payouts = idem.with_policy(
    ///     idem.policy().clone().lease(Duration::from_secs(120)).on_abandoned(OnAbandoned::Halt),
    /// )?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`PolicyError`] when the policy cannot work.
    pub fn with_policy(&self, policy: Policy) -> Result<Self, PolicyError> {
        policy.validate()?;
        Ok(Self::tuned(Arc::clone(self.shared()), policy))
    }

    fn tuned(shared: Arc<Shared>, policy: Policy) -> Self {
        Self {
            tuned: Arc::new(Tuned {
                shared,
                policy,
                measures: OnceLock::new(),
            }),
        }
    }

    /// The knobs in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.tuned.policy
    }

    /// The histograms, made when they are first asked for.
    pub(crate) fn measures(&self) -> &Measures {
        let Tuned {
            shared,
            policy,
            measures,
        } = &*self.tuned;
        measures.get_or_init(|| Measures::new(&shared.labels, &policy.route))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.tuned.shared
    }

    /// The record of a key as it stands, for tools and tests; decides nothing.
    ///
    /// ```
    /// use idem_core::{Idempotency, RecordKey, store::StoreError};
    ///
    /// # async fn example(idem: Idempotency, key: RecordKey) -> Result<(), StoreError> {
    /// match idem.lookup(&key).await? {
    ///     Some(stored) => println!("{}, attempt {}", stored.record.state.name(), stored.record.attempt),
    ///     None => println!("never seen, or forgotten after its retention"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the store reports after the policy's retry budget.
    pub async fn lookup(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let mut budget = Budget::new(self.policy().retry_budget);
        loop {
            match self.perform(key, Op::Get).await {
                (Reply::Found(found), _) => return Ok(found),
                (_, error) => {
                    let error = error.unwrap_or_else(endless);
                    budget.retry(self, key, error).await?;
                }
            }
        }
    }

    /// Waits until no detached execution and no pending ending is left: for a graceful shutdown,
    /// after the last request was taken. Bound it with a timeout of your own. Cancel safe.
    ///
    /// ```
    /// use std::time::Duration;
    /// use idem_core::Idempotency;
    ///
    /// # async fn example(idem: Idempotency) {
    /// // The listener is closed. What still runs has half a minute.
    /// if tokio::time::timeout(Duration::from_secs(30), idem.wait_idle()).await.is_err() {
    ///     eprintln!("some work is not over: it will be found abandoned once its lease is over");
    /// }
    /// # }
    /// ```
    pub async fn wait_idle(&self) {
        self.shared().background.wait_idle().await;
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("policy", self.policy())
            .finish_non_exhaustive()
    }
}
