//! [`PostgresStore`].

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{Created, Deleted, Record, RecordKey, Store, StoreError, Stored, Updated, Version};
use sqlx::{
    PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    PostgresConfig,
    call::{Argument, call},
    error::{Stage, store_error},
    rows::{Answer, Columns, answer, signed},
    sql::Statements,
};

/// How often a statement is asked again that raced with another and has no answer. Each time
/// somebody else's write went through.
const MAX_RACES: usize = 1000;

/// Records in PostgreSQL, in a schema of their own. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    config: PostgresConfig,
    sql: Statements,
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
        let sql = Statements::new(&config.schema);
        Self {
            inner: Arc::new(Inner { pool, config, sql }),
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
        let pool = PgPoolOptions::new()
            .connect_with(options)
            .await
            .map_err(connecting)?;
        Ok(Self::with_config(pool, config))
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let connection = self.inner.pool.acquire().await;
        connection.map_err(|error| store_error(error, Stage::Connecting))
    }

    /// Sends a statement of one row; `None` when it raced with another and has no answer.
    async fn ask(
        &self,
        sql: &Arc<str>,
        arguments: Vec<Argument<'_>>,
    ) -> Result<Option<Answer>, StoreError> {
        let mut connection = self.acquire().await?;
        let protocol = self.inner.config.protocol;
        let rows = call(&mut connection, protocol, sql, arguments)
            .await
            .map_err(|error| store_error(error, Stage::Sent))?;
        rows.first().map(|row| answer(row).1).transpose()
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
        let columns = Columns::new(record, ttl);
        for _ in 0..MAX_RACES {
            let mut arguments = name(key);
            arguments.extend(columns.into_arguments());
            match self.ask(&self.inner.sql.create, arguments).await? {
                Some(Answer::Done) => return Ok(Created::New),
                Some(Answer::Found(found)) => return Ok(Created::Exists(found)),
                None => {}
            }
        }
        Err(raced())
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let columns = Columns::new(record, ttl);
        for _ in 0..MAX_RACES {
            let mut arguments = name(key);
            arguments.extend(version(&expected));
            arguments.extend(columns.into_arguments());
            match self.ask(&self.inner.sql.update, arguments).await? {
                Some(Answer::Done) => return Ok(Updated::Done),
                Some(Answer::Found(found)) if found.record.version == expected => {}
                Some(Answer::Found(found)) => return Ok(Updated::Conflict(Some(found))),
                None => return Ok(Updated::Conflict(None)),
            }
        }
        Err(raced())
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        for _ in 0..MAX_RACES {
            let mut arguments = name(key);
            arguments.extend(version(&expected));
            match self.ask(&self.inner.sql.delete, arguments).await? {
                Some(Answer::Done) => return Ok(Deleted::Done),
                Some(Answer::Found(found)) if found.record.version == expected => {}
                Some(Answer::Found(found)) => return Ok(Deleted::Conflict(Some(found))),
                None => return Ok(Deleted::Conflict(None)),
            }
        }
        Err(raced())
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        match self.ask(&self.inner.sql.get, name(key)).await? {
            Some(Answer::Found(found)) => Ok(Some(found)),
            Some(Answer::Done) | None => Ok(None),
        }
    }
}

fn name(key: &RecordKey) -> Vec<Argument<'_>> {
    vec![Argument::Text(key.scope()), Argument::Text(key.key())]
}

fn version(version: &Version) -> [Argument<'_>; 2] {
    [
        Argument::Bytes(Some(version.token.as_bytes())),
        Argument::Int(Some(signed(version.revision))),
    ]
}

fn raced() -> StoreError {
    StoreError::unavailable("the statement raced with others without end")
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
