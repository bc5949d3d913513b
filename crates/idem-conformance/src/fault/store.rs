//! [`FaultStore`]: a store whose calls can be made to fail.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use tokio::sync::Notify;

use super::plan::{CallFault, Odds, Op, Plan};

/// Wraps a store and makes calls fail: by a script, for good, or at random from a seed.
///
/// Clones share the faults. Late and duplicate deliveries run on the current tokio runtime, and all
/// delays are tokio's, so that paused time passes for them as well.
///
/// ```
/// use idem_conformance::{CallFault, FaultStore, Op};
/// # use std::time::Duration;
/// # use idem_core::{RecordKey, store::{Record, Store}};
/// # async fn example(store: impl Store + 'static, key: RecordKey, record: Record) {
/// let store = FaultStore::new(store);
/// store.on_next(Op::Create, CallFault::LoseReply);
///
/// let hour = Duration::from_secs(3600);
/// assert!(store.create(&key, &record, hour).await.is_err()); // and yet it was applied
/// assert_eq!(store.struck()["lose-reply"], 1);
/// assert_eq!(store.calls(), 1);
/// # }
/// ```
pub struct FaultStore<S: ?Sized> {
    shared: Arc<Shared>,
    inner: Arc<S>,
}

struct Shared {
    plan: Mutex<Plan>,
    calls: AtomicUsize,
    healed: Notify,
}

impl<S: Store + 'static> FaultStore<S> {
    /// Wraps a store; no fault strikes yet.
    pub fn new(store: S) -> Self {
        Self::over(Arc::new(store))
    }
}

impl<S: Store + ?Sized + 'static> FaultStore<S> {
    /// Wraps a store that is shared already, such as an `Arc<dyn Store>`.
    pub fn over(store: Arc<S>) -> Self {
        Self {
            shared: Arc::new(Shared {
                plan: Mutex::default(),
                calls: AtomicUsize::new(0),
                healed: Notify::new(),
            }),
            inner: store,
        }
    }

    /// The store without faults.
    #[must_use]
    pub fn inner(&self) -> &Arc<S> {
        &self.inner
    }

    /// The next call of this operation is hit, after all that was scripted before.
    pub fn on_next(&self, op: Op, fault: CallFault) {
        self.plan().script(Some(op), fault);
    }

    /// The next call is hit, whichever it is, after all that was scripted before.
    pub fn on_next_call(&self, fault: CallFault) {
        self.plan().script(None, fault);
    }

    /// Every call that no script hits is hit, until [`heal`](Self::heal).
    pub fn on_every_call(&self, fault: CallFault) {
        self.plan().lasting(fault);
    }

    /// Calls are hit at random, until [`heal`](Self::heal). One seed gives one sequence of faults,
    /// for one sequence of calls.
    pub fn at_random(&self, odds: Odds, seed: u64) {
        self.plan().random(odds, seed);
    }

    /// Ends all faults; calls that hang go on.
    pub fn heal(&self) {
        self.plan().heal();
        self.shared.healed.notify_waiters();
    }

    /// How many calls came, those that a fault struck included.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How often each kind of fault struck, by [`CallFault::name`].
    #[must_use]
    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        self.plan().struck()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared.lock()
    }

    /// Sends a call through whatever hits it. `call` applies it to the wrapped store; a delivery
    /// after the caller is gone gets a call of its own.
    async fn send<T, F, C>(&self, op: Op, call: C) -> Result<T, StoreError>
    where
        T: Send + 'static,
        C: Fn(Arc<S>) -> F,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        // Listening before the plan is asked, so that a heal in between is not missed.
        let mut healed = pin!(self.shared.healed.notified());
        healed.as_mut().enable();
        let fault = self.plan().next(op);
        let apply = || call(Arc::clone(&self.inner));
        match fault {
            None => apply().await,
            Some(CallFault::Refuse) => Err(refused()),
            Some(CallFault::LoseRequest) => Err(lost("the request")),
            Some(CallFault::LoseReply) => {
                let _ = apply().await;
                Err(lost("the reply"))
            }
            Some(CallFault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                apply().await
            }
            Some(CallFault::DelayReply(delay)) => {
                let answer = apply().await;
                tokio::time::sleep(delay).await;
                answer
            }
            Some(CallFault::Hang) => {
                healed.await;
                apply().await
            }
            Some(CallFault::HangAfter) => {
                let answer = apply().await;
                healed.await;
                answer
            }
            Some(CallFault::Duplicate(delay)) => {
                deliver_after(delay, apply());
                apply().await
            }
            Some(CallFault::Late(delay)) => {
                deliver_after(delay, apply());
                Err(lost("the reply"))
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn deliver_after<T: Send + 'static>(
    delay: Duration,
    call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) {
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let _ = call.await;
    });
}

fn refused() -> StoreError {
    StoreError::unavailable("an injected fault: the store refused the call")
}

fn lost(what: &'static str) -> StoreError {
    StoreError::unknown(format!("an injected fault: {what} was lost"))
}

#[async_trait]
impl<S: Store + ?Sized + 'static> Store for FaultStore<S> {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.send(Op::Create, |store| {
            let (key, record) = (key.clone(), record.clone());
            async move { store.create(&key, &record, ttl).await }
        })
        .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.send(Op::Update, |store| {
            let (key, record) = (key.clone(), record.clone());
            async move { store.update(&key, expected, &record, ttl).await }
        })
        .await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        self.send(Op::Delete, |store| {
            let key = key.clone();
            async move { store.delete(&key, expected).await }
        })
        .await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.send(Op::Get, |store| {
            let key = key.clone();
            async move { store.get(&key).await }
        })
        .await
    }
}

impl<S: ?Sized> Clone for FaultStore<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<S: ?Sized> std::fmt::Debug for FaultStore<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultStore")
            .field("struck", &self.shared.lock().struck())
            .finish_non_exhaustive()
    }
}
