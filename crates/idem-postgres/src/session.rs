//! Connections, and how to speak on them.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use idem_core::store::StoreError;
use idem_sql::{Connection, Connections, Ledger, Open, Stage};
use sqlx::{
    Connection as _, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgRow,
};
use tokio::time::timeout;

use crate::{
    PostgresConfig, Protocol,
    call::{self, Argument, Dialect},
    error::{is_fatal, store_error},
    migrate::{STEPS, applied},
    sql::Statements,
};

/// The connections, the statements for their server, and how they are sent. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    /// The application's, for transactions.
    pool: PgPool,
    own: Connections<OpenServer>,
    ledger: Ledger,
    config: PostgresConfig,
    sql: Statements,
    /// Whether the server's default isolation level got in the way of a statement.
    isolated: AtomicBool,
}

/// A connection of the store's own.
pub(crate) type Own = Connection<OpenServer>;

/// How the store opens a connection.
pub(crate) struct OpenServer {
    /// Where the connect options come from, at each new connection: an application may exchange
    /// them, for a password that rotates.
    pool: PgPool,
}

impl Open for OpenServer {
    type Connection = PgConnection;

    async fn open(&self) -> Result<PgConnection, StoreError> {
        let options = self.pool.connect_options();
        let connected = PgConnection::connect_with(&options).await;
        connected.map_err(|error| store_error(error, Stage::Connecting))
    }
}

/// Why a statement has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the server or the connection said.
    Sqlx(sqlx::Error),
    /// It was not sent, for this reason.
    Unsent(StoreError),
    /// Nothing within this time. The connection is of no use any more.
    Silence(Duration),
}

impl Failure {
    pub(crate) fn into_store_error(self, stage: Stage) -> StoreError {
        match self {
            Self::Sqlx(error) => store_error(error, stage),
            Self::Unsent(error) => error,
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
            Self::Sqlx(_) | Self::Unsent(_) => false,
        }
    }
}

impl Sessions {
    pub(crate) fn new(pool: PgPool, config: PostgresConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                own: Connections::new(
                    OpenServer { pool: pool.clone() },
                    config.patience,
                    // And one for large calls.
                    config.lanes.get() + 1,
                    config.detours.get(),
                ),
                pool,
                ledger: Ledger::new(STEPS.len()),
                sql: Statements::new(&config.schema),
                config,
                isolated: AtomicBool::new(false),
            }),
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    pub(crate) fn own(&self) -> &Connections<OpenServer> {
        &self.inner.own
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    pub(crate) fn sql(&self) -> &Statements {
        &self.inner.sql
    }

    /// A connection of the application's pool, within the store's patience.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let patience = self.inner.config.patience;
        match timeout(patience, self.inner.pool.acquire()).await {
            Ok(acquired) => acquired.map_err(|error| store_error(error, Stage::Connecting)),
            Err(_) => Err(StoreError::unavailable(format!(
                "no connection of the pool within {patience:?}"
            ))),
        }
    }

    /// Refuses to write to tables of a newer release, for a transaction on a connection that is not
    /// the store's own.
    pub(crate) async fn check_ledger(&self) -> Result<(), StoreError> {
        if self.inner.ledger.is_known() {
            return Ok(());
        }
        let mut connection = self.inner.own.spare().await?;
        let Some(mut own) = connection.take() else {
            return Ok(());
        };
        let patience = self.inner.config.patience;
        // What hangs here is closed, and the transaction finds out by itself.
        if let Ok(checked) = timeout(patience, self.check(&mut own.0)).await {
            connection.put(own);
            checked?;
        }
        Ok(())
    }

    /// Looks whether the tables are of this release, unless that was done a moment ago.
    async fn check(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let schema = &self.inner.config.schema;
        self.inner.ledger.check(applied(connection, schema)).await
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

    /// Sends a statement that is a transaction of its own, on a spare connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the server may finish the statement.
    pub(crate) async fn ask(
        &self,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut connection = self.inner.own.spare().await?;
        let sent = self.send(&mut connection, sql, arguments).await;
        sent.map_err(|failure| failure.into_store_error(Stage::Sent))
    }

    /// Sends a statement that is a transaction of its own. A connection that broke is not there any
    /// more afterwards.
    pub(crate) async fn send(
        &self,
        connection: &mut Own,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<PgRow>, Failure> {
        let Some(mut own) = connection.take() else {
            return Err(Failure::Unsent(StoreError::unavailable(
                "the connection was lost before",
            )));
        };
        let patience = self
            .inner
            .config
            .patience
            .saturating_add(time_to_travel(arguments));
        let sent = timeout(patience, async {
            if let Err(error) = self.check(&mut own.0).await {
                return Err(Failure::Unsent(error));
            }
            let sent = call::call(&mut own.0, self.dialect(), sql, arguments).await;
            match sent.map_err(Failure::Sqlx) {
                // A single statement at READ COMMITTED is never told this: the server's default is
                // a stricter level. Nothing was applied.
                Err(failure) if failure.refusal().as_deref() == Some("40001") => {
                    self.inner.isolated.store(true, Ordering::Relaxed);
                    let again = call::call(&mut own.0, Dialect::Text, sql, arguments).await;
                    again.map_err(Failure::Sqlx)
                }
                sent => sent,
            }
        })
        .await
        .unwrap_or(Err(Failure::Silence(patience)));
        if !matches!(&sent, Err(failure) if failure.ends_session()) {
            connection.put(own);
        }
        sent
    }
}

/// What a slow line takes for large payloads: a megabyte a second.
fn time_to_travel(arguments: &[Argument<'_>]) -> Duration {
    let bytes: usize = arguments.iter().map(Argument::len).sum();
    Duration::from_micros(bytes as u64)
}
