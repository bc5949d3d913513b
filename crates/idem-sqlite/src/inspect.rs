//! What an operator's tool asks of a file. Changes nothing and judges nothing.

use std::path::{Path, PathBuf};

use idem_core::store::StoreError;
use idem_sql::{Migrations, Stage};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    clock::{Clock, Host},
    error::{BUSY, primary_code, store_error},
    files::{begin_raw, refuse_memory, run},
    migrate::{self, STEPS},
    place,
};

/// A file as it is found, whether a store could use it or not.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqliteFacts {
    /// Where it is.
    pub file: PathBuf,
    /// Its tables.
    pub migrations: Migrations,
    /// `wal` once a store has opened it.
    pub journal_mode: String,
    /// What `PRAGMA quick_check` complains of; empty for a sound file.
    pub damage: Vec<String>,
    /// Whether a transaction could begin that writes.
    pub write_access: WriteAccess,
    /// Why the folder is no place for it: a network share.
    pub network_share: Option<String>,
    /// Whether every user of the host may read it (Unix).
    pub readable_by_all: bool,
    /// Records, those past their ttl included.
    pub rows: u64,
    /// Records past their ttl that are not swept yet.
    pub expired_rows: u64,
    /// What the records take of the file, by estimate. Other tables may be in it.
    pub record_bytes: u64,
    /// The size of the file.
    pub bytes: u64,
    /// How much of it is free, to be used again.
    pub free_bytes: u64,
    /// The size of its write-ahead log.
    pub wal_bytes: u64,
    /// What is left on its disk, if the system says (Unix).
    pub disk_free_bytes: Option<u64>,
}

/// Whether a transaction could begin that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteAccess {
    /// It could.
    Free,
    /// Another transaction held the lock for longer than the half second that was waited.
    Held,
    /// It could not, for this reason.
    Refused(String),
}

/// The columns, with 60 bytes for times, version, status and headers, in pages that are three quarters full.
const RECORD_BYTES: &str = "SELECT coalesce(sum(length(CAST(key AS BLOB)) + \
    length(CAST(scope AS BLOB)) + length(body) + 60), 0) * 4 / 3 FROM idem_records";

/// How many migrations the file's tables have had. Makes no file.
///
/// # Errors
/// As [`inspect`].
pub async fn migrations(url: &str) -> Result<Migrations, StoreError> {
    let (mut connection, _) = open(url).await?;
    let migrations = read_migrations(&mut connection).await?;
    let _ = connection.close().await;
    Ok(migrations)
}

/// Looks at a file: reads all of it, and makes none.
///
/// # Errors
/// [`Config`](idem_core::store::StoreErrorKind::Config) for a URL that cannot be read;
/// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable) for a file that cannot be opened;
/// [`Corrupt`](idem_core::store::StoreErrorKind::Corrupt) for one that is not a database.
pub async fn inspect(url: &str) -> Result<SqliteFacts, StoreError> {
    let (mut connection, file) = open(url).await?;
    let migrations = read_migrations(&mut connection).await?;
    let one = async |connection: &mut SqliteConnection, sql: &'static str| {
        let number: Result<i64, _> = sqlx::query_scalar(sql).fetch_one(connection).await;
        let number = number.map_err(failed)?;
        Ok::<_, StoreError>(u64::try_from(number).unwrap_or(0))
    };
    let page = one(&mut connection, "PRAGMA page_size").await?;
    let facts = SqliteFacts {
        journal_mode: sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?,
        damage: damage(&mut connection).await?,
        write_access: write_access(&mut connection).await,
        network_share: place::check(&file).err().map(|error| error.to_string()),
        readable_by_all: readable_by_all(&file),
        rows: match migrations.applied {
            0 => 0,
            _ => one(&mut connection, "SELECT count(*) FROM idem_records").await?,
        },
        expired_rows: match migrations.applied {
            0 => 0,
            _ => expired_rows(&mut connection).await?,
        },
        record_bytes: match migrations.applied {
            0 => 0,
            _ => one(&mut connection, RECORD_BYTES).await?,
        },
        bytes: page * one(&mut connection, "PRAGMA page_count").await?,
        free_bytes: page * one(&mut connection, "PRAGMA freelist_count").await?,
        wal_bytes: size_of(&beside(&file, "-wal")),
        disk_free_bytes: disk_free_bytes(&file),
        migrations,
        file,
    };
    let _ = connection.close().await;
    Ok(facts)
}

async fn open(url: &str) -> Result<(SqliteConnection, PathBuf), StoreError> {
    let options: SqliteConnectOptions = url.parse().map_err(failed)?;
    refuse_memory(url, options.get_filename())?;
    let file = options.get_filename().to_owned();
    let options = options
        .create_if_missing(false)
        .busy_timeout(std::time::Duration::from_millis(500))
        .disable_statement_logging();
    Ok((options.connect().await.map_err(failed)?, file))
}

async fn read_migrations(connection: &mut SqliteConnection) -> Result<Migrations, StoreError> {
    Ok(Migrations {
        applied: migrate::applied(connection).await.map_err(failed)?,
        known: STEPS.len(),
    })
}

async fn damage(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let found: Result<Vec<String>, _> = sqlx::query_scalar("PRAGMA quick_check(10)")
        .fetch_all(connection)
        .await;
    let mut found = found.map_err(failed)?;
    found.retain(|line| line != "ok");
    Ok(found)
}

async fn write_access(connection: &mut SqliteConnection) -> WriteAccess {
    match begin_raw(connection).await {
        Ok(()) => {
            let _ = run(connection, "ROLLBACK").await;
            WriteAccess::Free
        }
        Err(error) if primary_code(&error) == Some(BUSY) => WriteAccess::Held,
        Err(error) => WriteAccess::Refused(error.to_string()),
    }
}

async fn expired_rows(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let noted = migrate::noted(connection).await.map_err(failed)?;
    let (clock, _) = Clock::start(noted.as_ref(), &Host::read());
    let sql = "SELECT count(*) FROM idem_records WHERE expires_at <= ?";
    let counted: Result<i64, _> = sqlx::query_scalar(sql)
        .bind(clock.now_ms())
        .fetch_one(connection)
        .await;
    Ok(u64::try_from(counted.map_err(failed)?).unwrap_or(0))
}

fn failed(error: sqlx::Error) -> StoreError {
    store_error(error, Stage::Connecting)
}

/// A companion of the file.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn size_of(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}

#[cfg(unix)]
fn readable_by_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_all(_file: &Path) -> bool {
    false
}

#[cfg(unix)]
fn disk_free_bytes(file: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(file).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn disk_free_bytes(_file: &Path) -> Option<u64> {
    None
}
