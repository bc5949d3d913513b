//! What a store may offer beyond [`Store`](crate::store::Store): [`Watch`], [`Sweep`], [`Browse`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    RecordKey,
    store::{Filter, StoreError, Stored},
};

/// Wakes a waiter when a record changes, for stores that can.
///
/// A wake-up is a hint: the waiter claims again and learns from the store what changed. Waiters poll
/// as well, so a lost or spurious wake-up costs time, not correctness.
///
/// ```
/// use async_trait::async_trait;
/// use idem_core::{RecordKey, store::{StoreError, Watch, Watcher}};
/// use tokio::sync::watch;
///
/// /// Counts the writes of this process, and wakes everybody at each.
/// struct Writes(watch::Sender<u64>);
///
/// #[async_trait]
/// impl Watch for Writes {
///     async fn watch(&self, _: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
///         Ok(Box::new(Listening(self.0.subscribe())))
///     }
/// }
///
/// struct Listening(watch::Receiver<u64>);
///
/// #[async_trait]
/// impl Watcher for Listening {
///     async fn changed(&mut self) {
///         if self.0.changed().await.is_err() {
///             std::future::pending().await // nobody writes any more
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Watch: Send + Sync {
    /// Starts listening for changes of `key`.
    ///
    /// Changes from the moment this returns wake the [`Watcher`].
    ///
    /// # Errors
    /// When the store cannot listen right now; the waiter then polls.
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError>;
}

/// One waiter's subscription; dropping it ends it.
#[async_trait]
pub trait Watcher: Send {
    /// Resolves when the record may have changed since the last call. Cancel safe.
    ///
    /// It may resolve too often: the engine asks the store no more than twenty times a second for it.
    async fn changed(&mut self);
}

/// Removes expired records, for stores that do not do so by themselves.
///
/// An expired record is absent already (rule S5). Sweeping only frees its room.
///
/// ```
/// use idem_core::store::{StoreError, Sweep};
///
/// /// Frees the room of all that is expired, a little at a time.
/// async fn sweep_all(store: &impl Sweep) -> Result<usize, StoreError> {
///     let mut purged = 0;
///     loop {
///         let some = store.sweep(1000).await?;
///         purged += some;
///         if some < 1000 {
///             return Ok(purged);
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Sweep: Send + Sync {
    /// Purges at most `limit` expired records and says how many.
    ///
    /// Safe to run from many processes at once. Less than `limit` means that no more were found.
    ///
    /// # Errors
    /// As for any store call; what was purged stays purged.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError>;
}

/// Lists records, for tools.
///
/// ```
/// use idem_core::store::{Browse, Filter, State, StateKind, StoreError};
///
/// /// The keys that are in flight.
/// async fn in_flight(store: &impl Browse) -> Result<Vec<String>, StoreError> {
///     let filter = Filter { states: vec![StateKind::InFlight], ..Filter::default() };
///     let (mut found, mut after) = (Vec::new(), None);
///     loop {
///         let page = store.browse(&filter, after.as_ref(), 100).await?;
///         for (key, stored) in page.records {
///             if let State::InFlight { lease, .. } = stored.record.state {
///                 found.push(format!("{key}: {:?} of {lease:?}", stored.age));
///             }
///         }
///         after = page.next;
///         if after.is_none() {
///             return Ok(found);
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Browse: Send + Sync {
    /// One page of the records that pass the filter, in an order of the store's choice, starting where
    /// `after` ended. A page may have fewer than `limit` of them, or none, and there may be more behind it.
    ///
    /// A record that is there from the first page to the last is listed at least once.
    ///
    /// A store that can tell without reading a record whether it passes, by a column or by its key, leaves
    /// those that do not where they are. Every store leaves out of the page what does not
    /// [pass](Filter::passes).
    ///
    /// A record that cannot be read does not fail its page: it is told in [`Page::unreadable`], and the
    /// listing goes on behind it.
    ///
    /// # Errors
    /// As for any store call, and [`Config`](crate::store::StoreErrorKind::Config) for a cursor that this
    /// store did not give.
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError>;
}

/// Where a page ended; opaque, and good for the store that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Records and their keys.
    pub records: Vec<(RecordKey, Stored)>,
    /// What cannot be read, in the scopes of the filter. The rest of the filter is about what the record
    /// says; a store that keeps the state beside the record may leave out those of other states.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<Cursor>,
}

/// A record that a listing could not read: damaged, or written by a newer release.
///
/// ```
/// use idem_core::store::Page;
///
/// /// Says what a listing left out.
/// fn warn(page: &Page) {
///     for unreadable in &page.unreadable {
///         eprintln!("{:?}: {}", unreadable.key, unreadable.error);
///     }
/// }
/// # warn(&Page::default());
/// ```
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// `scope:key`, which may be no valid key.
    pub key: String,
    /// Why, mostly [`Corrupt`](crate::store::StoreErrorKind::Corrupt).
    pub error: StoreError,
}

#[async_trait]
impl<W: Watch + ?Sized> Watch for Arc<W> {
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        (**self).watch(key).await
    }
}
