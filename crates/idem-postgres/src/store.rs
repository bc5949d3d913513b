//! [`PostgresStore`].

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{Created, Deleted, Record, RecordKey, Store, StoreError, Stored, Updated, Version};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    PostgresConfig,
    batch::{Batcher, Job},
    error::{Stage, store_error},
    rows::Answer,
    session::Sessions,
    sweep::SweepPlace,
};

/// Records in PostgreSQL, in a schema of their own.
///
/// Cheap to clone; clones share the pool and the statements that calls travel in. It runs on the
/// tokio runtime that calls are made on.
///
/// It needs a server that can be written to. Reads included: one that meets a row past its ttl locks
/// it for a moment, to be sure that no update of it is under way that came in time (S5).
#[derive(Clone)]
pub struct PostgresStore {
    sessions: Sessions,
    batcher: Batcher,
    sweep_place: Arc<SweepPlace>,
}

impl PostgresStore {
    /// A store over a pool that the application has already.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self::with_config(pool, PostgresConfig::default())
    }

    /// [`new`](Self::new) with other knobs.
    #[must_use]
    pub fn with_config(pool: PgPool, config: PostgresConfig) -> Self {
        let sessions = Sessions::new(pool, config);
        Self {
            batcher: Batcher::new(sessions.clone()),
            sweep_place: Arc::default(),
            sessions,
        }
    }

    /// A store over a pool of its own, of ten connections at most.
    ///
    /// # Errors
    /// [`Config`](idem_core::StoreErrorKind::Config) for a URL that cannot be read, or a server
    /// that does not let this role in; [`Unavailable`](idem_core::StoreErrorKind::Unavailable) when
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
        let pool = PgPoolOptions::new()
            .connect_with(options)
            .await
            .map_err(connecting)?;
        Ok(Self::with_config(pool, config))
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.sessions.pool()
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn sweep_place(&self) -> &SweepPlace {
        &self.sweep_place
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
        let record = record.clone();
        let job = Job::Create { record, ttl };
        match self.batcher.submit(key.clone(), job).await? {
            Some(Answer::Found(found)) => Ok(Created::Exists(found)),
            Some(Answer::Done) => Ok(Created::New),
            None | Some(Answer::Expired) => Err(undecided()),
        }
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let record = record.clone();
        let job = Job::Update {
            expected,
            record,
            ttl,
        };
        Ok(match self.batcher.submit(key.clone(), job).await? {
            Some(Answer::Done) => Updated::Done,
            Some(Answer::Found(found)) => Updated::Conflict(Some(found)),
            Some(Answer::Expired) => return Err(undecided()),
            None => Updated::Conflict(None),
        })
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let job = Job::Delete { expected };
        Ok(match self.batcher.submit(key.clone(), job).await? {
            Some(Answer::Done) => Deleted::Done,
            Some(Answer::Found(found)) => Deleted::Conflict(Some(found)),
            Some(Answer::Expired) => return Err(undecided()),
            None => Deleted::Conflict(None),
        })
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        match self.batcher.submit(key.clone(), Job::Get).await? {
            Some(Answer::Found(found)) => Ok(Some(found)),
            Some(Answer::Expired) => Err(undecided()),
            Some(Answer::Done) | None => Ok(None),
        }
    }
}

/// What no caller sees: such a call asks again.
fn undecided() -> StoreError {
    StoreError::unknown("the server gave no answer")
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("config", self.sessions.config())
            .finish_non_exhaustive()
    }
}
