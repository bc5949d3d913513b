//! Connections, and how to speak on them.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use idem_core::StoreError;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgRow};

use crate::{
    PostgresConfig, Protocol,
    call::{self, Argument, Dialect},
    error::{Stage, is_fatal, store_error},
    sql::Statements,
};

/// The pool, the statements for its server, and how they are sent. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    config: PostgresConfig,
    sql: Statements,
    /// Whether the server's default isolation level got in the way of a statement.
    isolated: AtomicBool,
}

/// Why a statement has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the server or the connection said.
    Sqlx(sqlx::Error),
    /// What came back makes no sense.
    Unreadable(StoreError),
    /// Nothing within this time. The connection is of no use any more.
    Silence(Duration),
}

impl Failure {
    pub(crate) fn into_store_error(self, stage: Stage) -> StoreError {
        match self {
            Self::Sqlx(error) => store_error(error, stage),
            Self::Unreadable(error) => error,
            Self::Silence(limit) => {
                StoreError::unknown(format!("the server did not answer within {limit:?}"))
            }
        }
    }

    /// Whether the server said no and let the session live.
    pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
        matches!(error, sqlx::Error::Database(error) if !is_fatal(error.as_ref()))
    }

    /// The SQLSTATE, if the server refused the statement and let the session live.
    pub(crate) fn refusal(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Sqlx(sqlx::Error::Database(error)) if !is_fatal(error.as_ref()) => error.code(),
            _ => None,
        }
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Sqlx(sqlx::Error::Database(error)) => is_fatal(error.as_ref()),
            Self::Sqlx(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)) => true,
            Self::Sqlx(_) | Self::Unreadable(_) => false,
        }
    }
}

impl Sessions {
    pub(crate) fn new(pool: PgPool, config: PostgresConfig) -> Self {
        let sql = Statements::new(&config.schema);
        Self {
            inner: Arc::new(Inner {
                pool,
                config,
                sql,
                isolated: AtomicBool::new(false),
            }),
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    pub(crate) fn sql(&self) -> &Statements {
        &self.inner.sql
    }

    /// A connection of the pool, within the store's patience.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let patience = self.inner.config.patience;
        match tokio::time::timeout(patience, self.inner.pool.acquire()).await {
            Ok(acquired) => acquired.map_err(|error| store_error(error, Stage::Connecting)),
            Err(_) => Err(StoreError::unavailable(format!(
                "no connection within {patience:?}"
            ))),
        }
    }

    /// How a statement that is a transaction of its own is sent.
    fn dialect(&self) -> Dialect {
        match self.inner.config.protocol {
            Protocol::Prepared if !self.inner.isolated.load(Ordering::Relaxed) => Dialect::Prepared,
            _ => Dialect::Text,
        }
    }

    /// How a statement within a transaction is sent.
    pub(crate) fn dialect_in_tx(&self) -> Dialect {
        match self.inner.config.protocol {
            Protocol::Prepared => Dialect::Prepared,
            Protocol::Simple => Dialect::Unnamed,
        }
    }

    /// Sends a statement that is a transaction of its own and waits for nobody.
    ///
    /// Dropped midway, the connection goes back to the pool with its answer still to come, which
    /// whoever has it next reads first.
    pub(crate) async fn ask(
        &self,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut connection = self.acquire().await?;
        let sent = self.send(&mut connection, sql, arguments).await;
        sent.map_err(|failure| failure.into_store_error(Stage::Sent))
    }

    /// Sends a statement that is a transaction of its own.
    ///
    /// Not to be dropped midway where it may wait for a lock: whoever has the connection next would
    /// wait as well.
    pub(crate) async fn send(
        &self,
        connection: &mut PgConnection,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<PgRow>, Failure> {
        let dialect = self.dialect();
        match self.send_once(connection, dialect, sql, arguments).await {
            // A single statement at READ COMMITTED is never told this: the server's default is a
            // stricter level. Nothing was applied.
            Err(failure) if failure.refusal().as_deref() == Some("40001") => {
                self.inner.isolated.store(true, Ordering::Relaxed);
                self.send_once(connection, Dialect::Text, sql, arguments)
                    .await
            }
            sent => sent,
        }
    }

    async fn send_once(
        &self,
        connection: &mut PgConnection,
        dialect: Dialect,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<PgRow>, Failure> {
        let patience = self.inner.config.patience;
        let patience = patience.saturating_add(time_to_travel(arguments));
        let sent = call::call(connection, dialect, sql, arguments);
        match tokio::time::timeout(patience, sent).await {
            Ok(rows) => rows.map_err(Failure::Sqlx),
            Err(_) => Err(Failure::Silence(patience)),
        }
    }
}

/// What a slow line takes for large payloads: a megabyte a second.
fn time_to_travel(arguments: &[Argument<'_>]) -> Duration {
    let bytes: usize = arguments.iter().map(Argument::len).sum();
    Duration::from_micros(bytes as u64)
}
