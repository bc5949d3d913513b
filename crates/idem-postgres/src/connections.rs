//! The store's own connections, apart from the application's pool.
//!
//! Claims, renewals and endings must get through when transactions or handlers hold every
//! connection of the application's pool, so they never take one from it. These are opened on
//! demand with the pool's connect options, and kept: one for each lane, and a few spare ones for
//! calls that may wait for a lock, for sweeping and for listing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use idem_core::store::StoreError;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::{
    PostgresConfig,
    error::{Stage, store_error},
};

/// A connection that was idle for longer is asked whether it is still there before it is used.
const TRUSTED: Duration = Duration::from_millis(100);

/// How long an idle connection may take to say that it is still there.
const PING: Duration = Duration::from_secs(1);

/// Opens connections and keeps them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where the connect options come from, at each new connection: an application may exchange
    /// them, for a password that rotates.
    pool: PgPool,
    patience: Duration,
    most: usize,
    idle: Mutex<Vec<Idle>>,
    spare: Arc<Semaphore>,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
    /// A connection works on the runtime that opened it, as long as that runs.
    runtime: runtime::Id,
}

/// A connection of the store's own, which goes back when it is dropped.
pub(crate) struct Connection {
    connections: Connections,
    /// `None` once the connection broke.
    own: Option<(PgConnection, runtime::Id)>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connections {
    pub(crate) fn new(pool: PgPool, config: &PostgresConfig) -> Self {
        let spare = config.detours.get();
        Self {
            inner: Arc::new(Inner {
                pool,
                patience: config.patience,
                most: config.lanes.get().saturating_add(spare),
                idle: Mutex::default(),
                spare: Arc::new(Semaphore::new(spare)),
            }),
        }
    }

    /// A connection for a lane. Lanes are counted by their queue.
    pub(crate) async fn open(&self) -> Result<Connection, StoreError> {
        self.with_place(None).await
    }

    /// One of the spare connections, once there is one.
    pub(crate) async fn spare(&self) -> Result<Connection, StoreError> {
        let place = Arc::clone(&self.inner.spare).acquire_owned().await;
        // The semaphore is never closed, so there is always a place to come.
        self.with_place(place.ok()).await
    }

    async fn with_place(
        &self,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Connection, StoreError> {
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
    async fn idle_of(&self, runtime: runtime::Id) -> Option<PgConnection> {
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

    fn pop(&self, runtime: runtime::Id) -> Option<Idle> {
        let mut idle = self.idle();
        // Those of other runtimes may never work again.
        idle.retain(|idle| idle.runtime == runtime || idle.since.elapsed() < TRUSTED);
        let last = idle.iter().rposition(|idle| idle.runtime == runtime)?;
        Some(idle.remove(last))
    }

    /// A new connection. Refused is told at once, where a pool would go on asking: nothing was
    /// sent, and the caller decides.
    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let Inner { pool, patience, .. } = &*self.inner;
        let options = pool.connect_options();
        match timeout(*patience, PgConnection::connect_with(&options)).await {
            Ok(connected) => connected.map_err(|error| store_error(error, Stage::Connecting)),
            Err(_) => Err(StoreError::unavailable(format!(
                "no connection within {patience:?}"
            ))),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Takes the connection out for one statement. Unless [`put`](Self::put) back it is closed: a
    /// statement whose future was dropped may still be running.
    pub(crate) fn take(&mut self) -> Option<(PgConnection, runtime::Id)> {
        self.own.take()
    }

    pub(crate) fn put(&mut self, own: (PgConnection, runtime::Id)) {
        self.own = Some(own);
    }

    /// Whether it broke.
    pub(crate) fn is_broken(&self) -> bool {
        self.own.is_none()
    }
}

impl Drop for Connection {
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
