//! Connections, and how statements are sent on them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use idem_core::store::StoreError;
use idem_sql::{Connection, Connections, Ledger, Open, Stage};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Either, Executor, MySql, MySqlConnection, MySqlPool, Row,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlQueryResult, MySqlRow},
    query::Query,
};
use tokio::time::timeout;

use crate::{
    MySqlConfig,
    error::{self, store_error},
    migrate, sql,
};

/// What a packet holds beside a payload or a checkpoint.
const BESIDE_PAYLOAD: usize = 8 << 10;

/// A connection of the store's own.
pub(crate) type Own = Connection<OpenMySql>;

/// The connections, and what is known of their server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    /// The application's, for transactions.
    pool: MySqlPool,
    own: Connections<OpenMySql>,
    server: Arc<Server>,
    ledger: Ledger,
    config: MySqlConfig,
}

/// What the server said of itself when it was last asked.
#[derive(Debug)]
struct Server {
    /// As large as can be until it was asked.
    largest_packet: AtomicUsize,
    is_mariadb: AtomicBool,
}

impl Server {
    fn is_known(&self) -> bool {
        self.largest_packet.load(Ordering::Relaxed) != usize::MAX
    }

    async fn ask(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let row = connection.fetch_one(sqlx::raw_sql(sql::CHECK)).await?;
        let moves: i64 = row.try_get(1)?;
        if moves != 1 {
            return Err(sqlx::Error::Configuration(
                "SYSDATE() does not move on within a statement: turn `sysdate_is_now` off".into(),
            ));
        }
        let packet: i64 = row.try_get(2)?;
        let packet = usize::try_from(packet).unwrap_or(usize::MAX);
        let version: String = row.try_get(3)?;
        let is_mariadb = version.contains("MariaDB");
        self.is_mariadb.store(is_mariadb, Ordering::Relaxed);
        self.largest_packet.store(packet, Ordering::Relaxed);
        Ok(())
    }
}

/// Why a statement has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the server or the connection said.
    Sqlx(sqlx::Error),
    /// What the server said after the first statement of a packet was carried out.
    HalfWay(sqlx::Error),
    /// It was not sent, for this reason.
    Unsent(StoreError),
    /// Nothing within this time. The connection is of no use any more.
    Silence(Duration),
}

impl Failure {
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Sqlx(error) => store_error(error, Stage::Sent),
            Self::HalfWay(error) => {
                StoreError::unknown("it was written, and not read").with_source(error)
            }
            Self::Unsent(error) => error,
            Self::Silence(limit) => {
                StoreError::unknown(format!("the server did not answer within {limit:?}"))
            }
        }
    }

    /// The number of the error with which the server refused the whole of it.
    pub(crate) fn number(&self) -> Option<u16> {
        match self {
            Self::Sqlx(error) => error::number(error),
            _ => None,
        }
    }

    /// The same failure, of what followed a write that went through.
    pub(crate) fn half_way(self) -> Self {
        match self {
            Self::Sqlx(error) => Self::HalfWay(error),
            failure => failure,
        }
    }

    /// Whether the connection is of no use any more.
    fn ends_session(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Sqlx(error) | Self::HalfWay(error) => match error::number(error) {
                Some(number) => error::ends_session(number),
                None => !matches!(error, sqlx::Error::Decode(_) | sqlx::Error::Encode(_)),
            },
            Self::Unsent(_) => false,
        }
    }
}

impl Sessions {
    pub(crate) fn new(pool: MySqlPool, config: MySqlConfig) -> Self {
        let server = Arc::new(Server {
            largest_packet: AtomicUsize::new(usize::MAX),
            is_mariadb: AtomicBool::new(false),
        });
        let how = OpenMySql {
            options: options(&pool),
            server: Arc::clone(&server),
        };
        // And one lane for large calls.
        let (lanes, spare) = (config.lanes.get() + 1, config.spare.get());
        Self {
            inner: Arc::new(Inner {
                own: Connections::new(how, config.patience, lanes, spare),
                pool,
                server,
                ledger: Ledger::new(migrate::STEPS.len()),
                config,
            }),
        }
    }

    pub(crate) fn pool(&self) -> &MySqlPool {
        &self.inner.pool
    }

    pub(crate) fn own(&self) -> &Connections<OpenMySql> {
        &self.inner.own
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn config(&self) -> &MySqlConfig {
        &self.inner.config
    }

    /// The longest payload or checkpoint that fits into a packet.
    pub(crate) fn largest_payload(&self) -> usize {
        let packet = self.inner.server.largest_packet.load(Ordering::Relaxed);
        packet.saturating_sub(BESIDE_PAYLOAD)
    }

    /// Whether the server takes a lock timeout of zero seconds.
    pub(crate) fn is_mariadb(&self) -> bool {
        self.inner.server.is_mariadb.load(Ordering::Relaxed)
    }

    /// Asks the server what it is, unless that is known.
    pub(crate) async fn meet(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        match self.inner.server.is_known() {
            true => Ok(()),
            false => self.inner.server.ask(connection).await,
        }
    }

    /// Refuses to write to tables of a newer release.
    pub(crate) async fn check_ledger(
        &self,
        connection: &mut MySqlConnection,
    ) -> Result<(), StoreError> {
        let ledger = &self.inner.ledger;
        let applied = timeout(self.inner.config.patience, migrate::applied(connection));
        ledger
            .check(async { applied.await.map_err(drop)?.map_err(drop) })
            .await
    }

    /// Carries out a write that is a transaction of its own, and says how many rows it wrote to.
    pub(crate) async fn write(&self, own: &mut Own, sql: String) -> Result<u64, Failure> {
        let len = sql.len();
        self.send(own, len, async move |connection| {
            let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
            Ok(done.map_err(Failure::Sqlx)?.rows_affected())
        })
        .await
    }

    /// [`write`](Self::write) of one row, by a prepared statement.
    pub(crate) async fn write_alone(
        &self,
        own: &mut Own,
        len: usize,
        query: Query<'_, MySql, MySqlArguments>,
    ) -> Result<MySqlQueryResult, Failure> {
        self.send(own, len, async move |connection| {
            query.execute(connection).await.map_err(Failure::Sqlx)
        })
        .await
    }

    /// Carries out a write, and then reads.
    pub(crate) async fn write_and_read(
        &self,
        own: &mut Own,
        write: &str,
        read: &str,
    ) -> Result<Vec<MySqlRow>, Failure> {
        let len = write.len() + read.len();
        self.send(own, len, async move |connection| {
            let sql = AssertSqlSafe(format!("{write}; {read}"));
            let mut replies = connection.fetch_many(sqlx::raw_sql(sql));
            let (mut written, mut rows) = (false, Vec::new());
            loop {
                match replies.try_next().await {
                    Ok(Some(Either::Left(_))) => written = true,
                    Ok(Some(Either::Right(row))) => rows.push(row),
                    Ok(None) => return Ok(rows),
                    Err(error) if written => return Err(Failure::HalfWay(error)),
                    Err(error) => return Err(Failure::Sqlx(error)),
                }
            }
        })
        .await
    }

    /// The rows of a query.
    pub(crate) async fn read(&self, own: &mut Own, sql: String) -> Result<Vec<MySqlRow>, Failure> {
        let len = sql.len();
        self.send(own, len, async move |connection| {
            let rows = connection
                .fetch_all(sqlx::raw_sql(AssertSqlSafe(sql)))
                .await;
            rows.map_err(Failure::Sqlx)
        })
        .await
    }

    /// The rows of a query for a part of the table, behind a key and a scope.
    pub(crate) async fn read_behind(
        &self,
        own: &mut Own,
        sql: String,
        (key, scope): (&[u8], &[u8]),
        limit: usize,
    ) -> Result<Vec<MySqlRow>, Failure> {
        self.send(own, 0, async move |connection| {
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(key)
                .bind(key)
                .bind(scope)
                .bind(u64::try_from(limit).unwrap_or(u64::MAX));
            query.fetch_all(connection).await.map_err(Failure::Sqlx)
        })
        .await
    }

    /// Does something on a connection, within the store's patience. A connection that broke is not
    /// there any more afterwards.
    pub(crate) async fn send<T>(
        &self,
        own: &mut Own,
        len: usize,
        work: impl AsyncFnOnce(&mut MySqlConnection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(mut taken) = own.take() else {
            return Err(Failure::Unsent(lost()));
        };
        // A slow line carries a megabyte a second.
        let travel = Duration::from_micros(len as u64);
        let patience = self.inner.config.patience.saturating_add(travel);
        let sent = timeout(patience, work(&mut taken.0)).await;
        let sent = sent.unwrap_or(Err(Failure::Silence(patience)));
        if !matches!(&sent, Err(failure) if failure.ends_session()) {
            own.put(taken);
        }
        sent
    }
}

/// What a call is told whose connection was given up by another.
pub(crate) fn lost() -> StoreError {
    StoreError::unavailable("the connection was lost before")
}

/// As the pool's, in UTC, and without a log: statements have keys and payloads in them.
fn options(pool: &MySqlPool) -> MySqlConnectOptions {
    let options = pool.connect_options().as_ref().clone();
    options
        .timezone(Some("+00:00".to_owned()))
        .disable_statement_logging()
}

/// How the store opens a connection.
pub(crate) struct OpenMySql {
    options: MySqlConnectOptions,
    server: Arc<Server>,
}

/// A second is the shortest time to wait for a lock that MySQL knows.
const PREPARE: &str = "SET SESSION autocommit = 1, innodb_lock_wait_timeout = 1";

impl OpenMySql {
    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        connection.execute(sqlx::raw_sql(PREPARE)).await?;
        self.server.ask(&mut connection).await?;
        Ok(connection)
    }
}

impl Open for OpenMySql {
    type Connection = MySqlConnection;

    async fn open(&self) -> Result<MySqlConnection, StoreError> {
        self.connect().await.map_err(|error| match error {
            sqlx::Error::Configuration(why) => StoreError::config(why.to_string()),
            error => store_error(error, Stage::Connecting),
        })
    }
}
