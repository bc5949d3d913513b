//! The store's own connections, apart from the application's pool.
//!
//! Claims, renewals and endings must get through when transactions or handlers hold every
//! connection of the application's pool, so they never take one from it. These are opened on
//! demand with the pool's connect options, and kept: one for each lane, and a few spare ones for
//! calls that may wait for a lock, for sweeping and for listing.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use idem_core::store::StoreError;
use sqlx::Connection as _;
use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// A connection that was idle for longer is asked whether it is still there before it is used.
const TRUSTED: Duration = Duration::from_millis(100);

/// How long an idle connection may take to say that it is still there.
const PING: Duration = Duration::from_secs(1);

/// How a store opens a connection.
pub trait Open: Send + Sync + 'static {
    /// A connection of its database.
    type Connection: sqlx::Connection;

    /// Opens one, and says at once when it is refused: nothing was sent, and the caller decides.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;
}

/// Opens connections and keeps them. Cheap to clone.
pub struct Connections<O: Open> {
    inner: Arc<Inner<O>>,
}

impl<O: Open> Clone for Connections<O> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<O: Open> fmt::Debug for Connections<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

struct Inner<O: Open> {
    how: O,
    patience: Duration,
    most: usize,
    idle: Mutex<Vec<Idle<O::Connection>>>,
    spare: Arc<Semaphore>,
}

struct Idle<C> {
    connection: C,
    since: Instant,
    /// A connection works on the runtime that opened it, as long as that runs.
    runtime: runtime::Id,
}

/// A connection of the store's own, which goes back when it is dropped.
pub struct Connection<O: Open> {
    connections: Connections<O>,
    /// `None` once the connection broke.
    own: Option<(O::Connection, runtime::Id)>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<O: Open> Connections<O> {
    /// Keeps at most one connection for each lane, and this many spare ones.
    #[must_use]
    pub fn new(how: O, patience: Duration, lanes: usize, spare: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                how,
                patience,
                most: lanes.saturating_add(spare),
                idle: Mutex::default(),
                spare: Arc::new(Semaphore::new(spare)),
            }),
        }
    }

    /// A connection for a lane. Lanes are counted by their queue.
    ///
    /// # Errors
    /// As [`Open::open`]; [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable) after the patience.
    pub async fn open(&self) -> Result<Connection<O>, StoreError> {
        self.with_place(None).await
    }

    /// One of the spare connections, once there is one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn spare(&self) -> Result<Connection<O>, StoreError> {
        let place = Arc::clone(&self.inner.spare).acquire_owned().await;
        // The semaphore is never closed, so there is always a place to come.
        self.with_place(place.ok()).await
    }

    async fn with_place(
        &self,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Connection<O>, StoreError> {
        let runtime = runtime::Handle::try_current()
            .map_err(|error| StoreError::config("there is no tokio runtime").with_source(error))?
            .id();
        let own = match self.idle_of(runtime).await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Connection {
            connections: self.clone(),
            own: Some((own, runtime)),
            _place: place,
        })
    }

    /// A kept connection of this runtime that is still there.
    async fn idle_of(&self, runtime: runtime::Id) -> Option<O::Connection> {
        loop {
            let Idle {
                mut connection,
                since,
                ..
            } = self.pop(runtime)?;
            if since.elapsed() < TRUSTED {
                return Some(connection);
            }
            if let Ok(Ok(())) = timeout(PING, connection.ping()).await {
                return Some(connection);
            }
        }
    }

    fn pop(&self, runtime: runtime::Id) -> Option<Idle<O::Connection>> {
        let mut idle = self.idle();
        // Those of other runtimes may never work again.
        idle.retain(|idle| idle.runtime == runtime || idle.since.elapsed() < TRUSTED);
        let last = idle.iter().rposition(|idle| idle.runtime == runtime)?;
        Some(idle.remove(last))
    }

    async fn connect(&self) -> Result<O::Connection, StoreError> {
        let Inner { how, patience, .. } = &*self.inner;
        match timeout(*patience, how.open()).await {
            Ok(connected) => connected,
            Err(_) => Err(StoreError::unavailable(format!(
                "no connection within {patience:?}"
            ))),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<O::Connection>>> {
        self.inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Open> Connection<O> {
    /// Takes the connection out for one statement. Unless [`put`](Self::put) back it is closed: a
    /// statement whose future was dropped may still be running.
    #[must_use]
    pub fn take(&mut self) -> Option<(O::Connection, runtime::Id)> {
        self.own.take()
    }

    /// Puts it back.
    pub fn put(&mut self, own: (O::Connection, runtime::Id)) {
        self.own = Some(own);
    }

    /// Whether it broke.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.own.is_none()
    }
}

impl<O: Open> Drop for Connection<O> {
    fn drop(&mut self) {
        let Some((connection, runtime)) = self.own.take() else {
            return;
        };
        let mut idle = self.connections.idle();
        if idle.len() < self.connections.inner.most {
            idle.push(Idle {
                connection,
                since: Instant::now(),
                runtime,
            });
        }
    }
}
