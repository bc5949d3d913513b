//! [`File`]: the connections to one file, its clock, and whose turn it is to write.

use std::{path::Path, sync::Arc, time::Duration};

use idem_core::store::StoreError;
use idem_sql::{Connection, Connections, Ledger, Open, Stage};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::sleep,
};

use crate::{
    Durability, SqliteConfig,
    clock::Clock,
    error::{BUSY, primary_code, store_error},
    migrate, place,
    sql::Statements,
};

/// How long to wait for a connection: other processes may be opening the file for the first time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections for sweeping, listing, and finding out what became of a commit.
const SPARE: usize = 2;

/// A file that is open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct File {
    inner: Arc<Inner>,
}

struct Inner {
    /// The application's, for transactions.
    pool: SqlitePool,
    own: Connections<OpenFile>,
    clock: Clock,
    ledger: Ledger,
    config: SqliteConfig,
    sql: Statements,
    turn: Arc<Mutex<()>>,
}

/// The right of a process' one writer to begin a transaction, first come, first served. SQLite itself
/// has no queue: whoever waits looks again after a pause. Other processes, and transactions that the
/// application begins by itself, are waited for in that way.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// A connection of the store's own.
pub(crate) type Own = Connection<OpenFile>;

impl File {
    /// Opens the file, makes its tables or brings them up to date, and goes on with its clock.
    pub(crate) async fn open(pool: SqlitePool, config: SqliteConfig) -> Result<Self, StoreError> {
        let open = OpenFile::new(&pool, &config);
        place::check(open.options.get_filename())?;
        let own = Connections::new(open, PATIENCE, 1 + config.readers.get(), SPARE);
        let ledger = Ledger::new(migrate::STEPS.len());
        let mut connection = own.spare().await?;
        let mut taken = connection.take().ok_or_else(lost)?;
        let clock = migrate::prepare(&mut taken.0, &ledger).await?;
        connection.put(taken);
        drop(connection);
        ledger.note();
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                own,
                clock,
                ledger,
                config,
                sql: Statements::new(),
                turn: Arc::default(),
            }),
        })
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.inner.pool
    }

    pub(crate) fn own(&self) -> &Connections<OpenFile> {
        &self.inner.own
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn config(&self) -> &SqliteConfig {
        &self.inner.config
    }

    pub(crate) fn sql(&self) -> &Statements {
        &self.inner.sql
    }

    /// Waits for the turn to write.
    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.inner.turn).lock_owned().await
    }

    /// Refuses to use tables that a newer release has changed meanwhile.
    pub(crate) async fn check_ledger(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let ledger = &self.inner.ledger;
        ledger.check(migrate::applied(connection)).await
    }
}

/// What a call is told whose connection was given up by another.
pub(crate) fn lost() -> StoreError {
    StoreError::unavailable("the connection was lost before")
}

/// Sends a statement without arguments.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    sql: impl Into<String>,
) -> Result<(), sqlx::Error> {
    // Safe: the crate's own text.
    let query = sqlx::query(AssertSqlSafe(sql.into()));
    query.execute(connection).await.map(drop)
}

/// Begins a transaction that may write. One that reads first and then writes would be refused at once
/// where another has written in between (`SQLITE_BUSY_SNAPSHOT`).
pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let begun = begin_raw(connection).await;
    begun.map_err(|error| store_error(error, Stage::Connecting))
}

/// As [`begin`], with the database's own error.
pub(crate) async fn begin_raw(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    run(connection, "BEGIN IMMEDIATE").await
}

/// Ends a transaction that failed. `false` when the connection is of no use any more.
pub(crate) async fn roll_back(connection: &mut SqliteConnection) -> bool {
    match run(connection, "ROLLBACK").await {
        Ok(()) => true,
        // After some errors SQLite has rolled back by itself, and has no transaction to end.
        Err(error) => primary_code(&error) == Some(1),
    }
}

/// How the store opens the file.
pub(crate) struct OpenFile {
    options: SqliteConnectOptions,
    largest_file: Option<u64>,
}

impl OpenFile {
    fn new(pool: &SqlitePool, config: &SqliteConfig) -> Self {
        let options = pool.connect_options().as_ref().clone();
        Self {
            options: with_knobs(options, config),
            largest_file: config.largest_file,
        }
    }

    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        if let Some(bytes) = self.largest_file {
            let page: i64 = sqlx::query_scalar("PRAGMA page_size")
                .fetch_one(&mut connection)
                .await?;
            let pages = bytes / u64::try_from(page).unwrap_or(4096).max(1);
            let pragma = format!("PRAGMA max_page_count = {}", pages.max(1));
            run(&mut connection, pragma).await?;
        }
        Ok(connection)
    }
}

impl Open for OpenFile {
    type Connection = SqliteConnection;

    async fn open(&self) -> Result<SqliteConnection, StoreError> {
        loop {
            match self.connect().await {
                // Another process opens the file for the first time, or recovers it. SQLite does not
                // wait by itself there.
                Err(error) if primary_code(&error) == Some(BUSY) => {
                    sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(store_error(error, Stage::Connecting)),
                Ok(mut connection) => {
                    let wal: Result<String, _> = sqlx::query_scalar("PRAGMA journal_mode")
                        .fetch_one(&mut connection)
                        .await;
                    let wal = wal.map_err(|error| store_error(error, Stage::Connecting))?;
                    if wal == "wal" {
                        return Ok(connection);
                    }
                    let _ = connection.close().await;
                    return Err(StoreError::config(
                        "the file cannot have a write-ahead log: is it in memory, or on a file system without shared memory?",
                    ));
                }
            }
        }
    }
}

/// The options that every connection of the store's has.
pub(crate) fn with_knobs(
    options: SqliteConnectOptions,
    config: &SqliteConfig,
) -> SqliteConnectOptions {
    let synchronous = match config.durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::Normal => SqliteSynchronous::Normal,
    };
    // As long as SQLite can wait.
    let longest = Duration::from_millis(i32::MAX.unsigned_abs().into());
    options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(config.busy_timeout.min(longest))
}

/// Refuses a database in memory: each connection would have its own.
pub(crate) fn refuse_memory(url: &str, file: &Path) -> Result<(), StoreError> {
    let in_memory =
        url.contains(":memory:") || url.contains("mode=memory") || file.as_os_str().is_empty();
    if in_memory {
        return Err(StoreError::config(
            "a database in memory is not shared by connections: name a file, or use idem-memory",
        ));
    }
    Ok(())
}
