//! [`Followed`]: a harness whose calls are followed, so that a case that hangs says what it waits
//! for.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{
        Browse, Created, Cursor, Deleted, Filter, Page, Record, Store, StoreError, Stored, Sweep,
        Updated, Version, Watch,
    },
};

use crate::{
    Browsing, Corrupt, Fault, Faults, Fill, Harness, Restart, Skipped, SteppedClock, Sweeping,
};

/// Calls that are under way.
#[derive(Default)]
pub(crate) struct Calls {
    next: AtomicU64,
    under_way: Mutex<BTreeMap<u64, (&'static str, Instant)>>,
}

impl Calls {
    fn under_way(&self) -> MutexGuard<'_, BTreeMap<u64, (&'static str, Instant)>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Awaits a call, and counts it as under way until it ends or is dropped.
    async fn during<T>(&self, what: &'static str, call: impl Future<Output = T>) -> T {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.under_way().insert(number, (what, Instant::now()));
        let _ends = UnderWay {
            calls: self,
            number,
        };
        call.await
    }

    /// What is waited for, and for how long: `waiting for 3 × create (up to 20 s)`.
    pub(crate) fn waiting(&self) -> String {
        let mut kinds: BTreeMap<&str, (usize, Duration)> = BTreeMap::new();
        for (what, since) in self.under_way().values() {
            let (count, longest) = kinds.entry(what).or_default();
            *count += 1;
            *longest = since.elapsed().max(*longest);
        }
        if kinds.is_empty() {
            return "no call of the store is under way".to_owned();
        }
        let kinds = kinds.into_iter().map(|(what, (count, longest))| {
            format!("{count} × {what} (up to {:.0} s)", longest.as_secs_f64())
        });
        format!("waiting for {}", kinds.collect::<Vec<_>>().join(", "))
    }
}

struct UnderWay<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.calls.under_way().remove(&self.number);
    }
}

/// A harness whose stores are followed.
pub(crate) struct Followed<'a> {
    harness: &'a dyn Harness,
    calls: Arc<Calls>,
}

impl<'a> Followed<'a> {
    pub(crate) fn new(harness: &'a dyn Harness, calls: Arc<Calls>) -> Self {
        Self { harness, calls }
    }

    fn wrap<T>(&self, inner: T) -> Wrapped<T> {
        Wrapped {
            inner,
            calls: Arc::clone(&self.calls),
        }
    }
}

/// Something that gives stores, or is one.
struct Wrapped<T> {
    inner: T,
    calls: Arc<Calls>,
}

impl<T> Wrapped<T> {
    fn store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Wrapped {
            inner,
            calls: Arc::clone(&self.calls),
        })
    }
}

#[async_trait]
impl Harness for Followed<'_> {
    fn name(&self) -> String {
        self.harness.name()
    }

    async fn store(&self) -> Arc<dyn Store> {
        let opening = self.harness.store();
        let store = self.calls.during("the harness opening a handle", opening);
        Arc::new(self.wrap(store.await))
    }

    fn namespace(&self) -> String {
        self.harness.namespace()
    }

    fn time_scale(&self) -> f64 {
        self.harness.time_scale()
    }

    fn payload_limit(&self) -> Option<usize> {
        self.harness.payload_limit()
    }

    fn records_to_keep(&self) -> usize {
        self.harness.records_to_keep()
    }

    async fn elsewhere(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(self.wrap(self.harness.elsewhere().await?)))
    }

    async fn clock(&self) -> Option<Box<dyn SteppedClock>> {
        Some(Box::new(self.wrap(self.harness.clock().await?)))
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        Some(Box::new(self.wrap(self.harness.restart().await?)))
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(Box::new(self.wrap(self.harness.faults().await?)))
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        Some(Box::new(self.wrap(self.harness.corrupt().await?)))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        Some(Box::new(self.wrap(self.harness.fill().await?)))
    }

    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.harness.watch().await
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let Sweeping { store, sweep } = self.harness.sweep().await?;
        Some(Sweeping {
            store: Arc::new(self.wrap(store)),
            sweep: Arc::new(self.wrap(sweep)),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        let Browsing { store, browse } = self.harness.browse().await?;
        Some(Browsing {
            store: Arc::new(self.wrap(store)),
            browse: Arc::new(self.wrap(browse)),
        })
    }
}

#[async_trait]
impl Restart for Wrapped<Box<dyn Restart>> {
    async fn store(&self) -> Arc<dyn Store> {
        Wrapped::store(self, self.inner.store().await)
    }

    async fn restart(&self) {
        self.calls.during("restart", self.inner.restart()).await;
    }

    async fn run(&self) -> Option<String> {
        self.inner.run().await
    }
}

#[async_trait]
impl SteppedClock for Wrapped<Box<dyn SteppedClock>> {
    async fn store(&self) -> Arc<dyn Store> {
        Wrapped::store(self, self.inner.store().await)
    }

    async fn forward(&self, by: Duration) {
        self.inner.forward(by).await;
    }

    async fn back(&self, by: Duration) {
        self.inner.back(by).await;
    }
}

#[async_trait]
impl Faults for Wrapped<Box<dyn Faults>> {
    async fn store(&self) -> Arc<dyn Store> {
        Wrapped::store(self, self.inner.store().await)
    }

    async fn truth(&self) -> Arc<dyn Store> {
        Wrapped::store(self, self.inner.truth().await)
    }

    async fn inject(&self, fault: Fault) -> Result<(), Skipped> {
        self.inner.inject(fault).await
    }

    async fn heal(&self) {
        self.calls.during("heal", self.inner.heal()).await;
    }
}

#[async_trait]
impl Corrupt for Wrapped<Box<dyn Corrupt>> {
    async fn store(&self) -> Arc<dyn Store> {
        Wrapped::store(self, self.inner.store().await)
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.inner.write_unknown_format(key).await;
    }

    async fn damage(&self, key: &RecordKey) {
        self.inner.damage(key).await;
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.inner.raw(key).await
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(Arc::new(Wrapped {
            inner: self.inner.browse().await?,
            calls: Arc::clone(&self.calls),
        }))
    }
}

#[async_trait]
impl Fill for Wrapped<Box<dyn Fill>> {
    async fn store(&self) -> Arc<dyn Store> {
        Wrapped::store(self, self.inner.store().await)
    }

    async fn fill(&self) {
        self.calls.during("fill", self.inner.fill()).await;
    }
}

#[async_trait]
impl Sweep for Wrapped<Arc<dyn Sweep>> {
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.calls.during("sweep", self.inner.sweep(limit)).await
    }
}

#[async_trait]
impl Browse for Wrapped<Arc<dyn Browse>> {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let page = self.inner.browse(filter, after, limit);
        self.calls.during("browse", page).await
    }
}

#[async_trait]
impl Store for Wrapped<Arc<dyn Store>> {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let create = self.inner.create(key, record, ttl);
        self.calls.during("create", create).await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let update = self.inner.update(key, expected, record, ttl);
        self.calls.during("update", update).await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let delete = self.inner.delete(key, expected);
        self.calls.during("delete", delete).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        self.calls.during("get", self.inner.get(key)).await
    }
}
