//! [`PostgresStore`].

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use idem_sql::{
    Stage, Sweeper,
    batch::{Job, created, deleted, got, updated},
    tx::Waiters,
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    PostgresConfig,
    batch::{Batcher, limits},
    error::store_error,
    rows::fits,
    session::Sessions,
    sweep::Sweeping,
};

/// Records in PostgreSQL, in a schema of their own.
///
/// Cheap to clone; clones share their connections and the statements that calls travel in. It runs on
/// the tokio runtime that calls are made on.
///
/// Claims, renewals and endings have a few connections of the store's own: as many as
/// [`lanes`](PostgresConfig::lanes) and [`detours`](PostgresConfig::detours), four by default, opened
/// on demand. So they get through whatever the application does with its pool. The pool serves the
/// [transactional mode](crate::Transactional).
///
/// It needs a server that can be written to. Reads included: one that meets a row past its ttl locks
/// it for a moment, to be sure that no update of it is under way that came in time (S5).
#[derive(Clone)]
pub struct PostgresStore {
    sessions: Sessions,
    batcher: Batcher,
    sweeping: Sweeping,
    waiters: Arc<Waiters>,
    /// Stops with the last clone.
    sweeper: Option<Arc<Sweeper>>,
}

impl PostgresStore {
    /// A store for an application that has a pool already.
    ///
    /// The store's own connections are made with the pool's connect options. The pool's hooks, such
    /// as `after_connect`, do not run for them: a role or a setting that they need belongs into the
    /// options. They close with the last clone of the store, and not with the pool.
    ///
    /// Does not sweep: call [`sweep_in_background`](Self::sweep_in_background) in one process at
    /// least, or the table only grows.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self::with_config(pool, PostgresConfig::default())
    }

    /// [`new`](Self::new) with other knobs.
    #[must_use]
    pub fn with_config(pool: PgPool, config: PostgresConfig) -> Self {
        let waiters = Arc::new(Waiters::of(pool.options().get_max_connections()));
        let sessions = Sessions::new(pool, config);
        Self {
            batcher: Batcher::new(sessions.clone(), limits(sessions.config())),
            sweeping: Sweeping::new(sessions.clone()),
            waiters,
            sweeper: None,
            sessions,
        }
    }

    /// A store with a pool of its own, of ten connections at most, for transactions. It sweeps in the
    /// background, as [`sweep_every`](PostgresConfig::sweep_every) says, until its last clone is
    /// dropped.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) for a URL that cannot be read, or a server
    /// that does not let this role in; [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable) when
    /// it cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, PostgresConfig::default()).await
    }

    /// [`connect`](Self::connect) with other knobs.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, config: PostgresConfig) -> Result<Self, StoreError> {
        let connecting = |error| store_error(error, Stage::Connecting);
        let options: PgConnectOptions = url.parse().map_err(connecting)?;
        // A parameter of the session that poolers refuse, and that only floats are shown by.
        let options = options.extra_float_digits(None);
        let pool = PgPoolOptions::new().connect_lazy_with(options);
        let period = config.sweep_every;
        let mut store = Self::with_config(pool, config);
        drop(store.sessions.own().open().await?);
        store.sweeper =
            period.map(|period| Arc::new(Sweeper::start(store.sweeping.clone(), period)));
        Ok(store)
    }

    /// The pool that transactions take their connections from.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.sessions.pool()
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn places(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    pub(crate) fn sweeping(&self) -> &Sweeping {
        &self.sweeping
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        fits(record)?;
        let record = record.clone();
        let job = Job::Create { record, ttl };
        created(self.batcher.submit(key.clone(), job).await)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        fits(record)?;
        let record = record.clone();
        let job = Job::Update {
            expected,
            record,
            ttl,
        };
        updated(self.batcher.submit(key.clone(), job).await)
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let job = Job::Delete { expected };
        deleted(self.batcher.submit(key.clone(), job).await)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        got(self.batcher.submit(key.clone(), Job::Get).await)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("config", self.sessions.config())
            .finish_non_exhaustive()
    }
}
