//! [`MySqlStore`].

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use idem_sql::{
    Stage, Sweeper,
    batch::{self, Answer, Batcher, Job},
    tx::Waiters,
};
use sqlx::{
    MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

use crate::{MySqlConfig, batch::limits, error::store_error, session::Sessions, sweep::Sweeping};

/// Records in MySQL or MariaDB, in tables of the application's database whose names begin with
/// `idem_`.
///
/// Cheap to clone; clones share their connections and the statements that calls travel in. It runs on
/// the tokio runtime that calls are made on.
///
/// Claims, renewals and endings have a few connections of the store's own: as many as
/// [`lanes`](MySqlConfig::lanes) and [`spare`](MySqlConfig::spare), four by default, opened on demand.
/// So they get through whatever the application does with its pool. The pool serves the transactional
/// mode.
///
/// It needs a server that can be written to, at any isolation level.
#[derive(Clone)]
pub struct MySqlStore {
    sessions: Sessions,
    batcher: Batcher<Sessions>,
    sweeping: Sweeping,
    waiters: Arc<Waiters>,
    /// Stops with the last clone.
    sweeper: Option<Arc<Sweeper>>,
}

impl MySqlStore {
    /// A store for an application that has a pool already.
    ///
    /// The store's own connections are made with the pool's connect options, in UTC and without a log
    /// of statements. The pool's hooks, such as `after_connect`, do not run for them. They close with
    /// the last clone of the store, and not with the pool.
    ///
    /// Does not sweep: call [`sweep_in_background`](Self::sweep_in_background) in one process at
    /// least, or the table only grows.
    #[must_use]
    pub fn new(pool: MySqlPool) -> Self {
        Self::with_config(pool, MySqlConfig::default())
    }

    /// [`new`](Self::new) with other knobs.
    #[must_use]
    pub fn with_config(pool: MySqlPool, config: MySqlConfig) -> Self {
        let waiters = Arc::new(Waiters::of(pool.options().get_max_connections()));
        let limits = limits(&config);
        let sessions = Sessions::new(pool, config);
        Self {
            batcher: Batcher::new(sessions.clone(), limits),
            sweeping: Sweeping::new(sessions.clone()),
            waiters,
            sweeper: None,
            sessions,
        }
    }

    /// A store with a pool of its own, of ten connections at most, for transactions. It sweeps in the
    /// background, as [`sweep_every`](MySqlConfig::sweep_every) says, until its last clone is dropped.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) for a URL that cannot be read, a server that
    /// does not let this user in, and one with `sysdate_is_now`;
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable) when it cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, MySqlConfig::default()).await
    }

    /// [`connect`](Self::connect) with other knobs.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, config: MySqlConfig) -> Result<Self, StoreError> {
        let connecting = |error| store_error(error, Stage::Connecting);
        let options: MySqlConnectOptions = url.parse().map_err(connecting)?;
        let pool = MySqlPoolOptions::new().connect_lazy_with(options);
        let period = config.sweep_every;
        let mut store = Self::with_config(pool, config);
        drop(store.sessions.own().open().await?);
        store.sweeper =
            period.map(|period| Arc::new(Sweeper::start(store.sweeping.clone(), period)));
        Ok(store)
    }

    /// The pool that transactions take their connections from.
    #[must_use]
    pub fn pool(&self) -> &MySqlPool {
        self.sessions.pool()
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn sweeping(&self) -> &Sweeping {
        &self.sweeping
    }

    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    /// Refuses a record that could not be sent.
    pub(crate) fn fits(&self, record: &Record) -> Result<(), StoreError> {
        let (len, largest) = (record.state.bytes(), self.sessions.largest_payload());
        match len <= largest {
            true => Ok(()),
            false => Err(StoreError::too_large(format!(
                "{len} bytes are more than the {largest} that fit into the server's `max_allowed_packet`"
            ))),
        }
    }
}

#[async_trait]
impl Store for MySqlStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        self.fits(record)?;
        if self.batcher.has_seen(key) {
            let read = self.batcher.submit(key.clone(), Job::Get);
            if let Some(Answer::Found(found)) = read.await? {
                return Ok(Created::Exists(found));
            }
        }
        let record = record.clone();
        let job = Job::Create { record, ttl };
        batch::created(self.batcher.submit(key.clone(), job).await)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        self.fits(record)?;
        let record = record.clone();
        let job = Job::Update {
            expected,
            record,
            ttl,
        };
        batch::updated(self.batcher.submit(key.clone(), job).await)
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let job = Job::Delete { expected };
        batch::deleted(self.batcher.submit(key.clone(), job).await)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        batch::got(self.batcher.submit(key.clone(), Job::Get).await)
    }
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore")
            .field("config", self.sessions.config())
            .finish_non_exhaustive()
    }
}
