//! What an operator's tool asks of a server. Changes nothing and judges nothing.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use idem_core::store::StoreError;
use idem_sql::{Migrations, Stage};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, Row,
    mysql::{MySqlConnectOptions, MySqlRow},
};

use crate::{
    error::{number, store_error},
    migrate::{STEPS, applied},
    sql,
};

/// What is read of the server's variables, as they hold for this session.
const SETTINGS: &[&str] = &[
    "binlog_format",
    "event_scheduler",
    "innodb_doublewrite",
    "innodb_flush_log_at_trx_commit",
    "log_bin",
    "max_allowed_packet",
    "max_connections",
    "read_only",
    "sql_mode",
    "sync_binlog",
    "version",
    "wait_timeout",
];

/// A server and the tables on it, as they are found, whether a store could use them or not.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MySqlFacts {
    /// The tables. `None` where this user may not look.
    pub migrations: Option<Migrations>,
    /// Variables by their names, as they hold for this session: those that a store depends on.
    pub settings: BTreeMap<String, String>,
    /// Whether `SYSDATE` moves on within a statement.
    pub sysdate_moves: bool,
    /// What the user lacks, such as `UPDATE on idem_records`.
    pub missing_privileges: Vec<String>,
    /// The engine of the table of records; empty where there is none.
    pub engine: String,
    /// Whether the table of records has its primary key.
    pub has_primary_key: bool,
    /// Rows of the table, by the server's estimate.
    pub rows: u64,
    /// Records whose ttl was over ten minutes ago, and that are not swept; counted up to 100,000.
    pub overdue_rows: u64,
    /// The size of the table with its index, by the server's estimate.
    pub bytes: u64,
    /// The server's clock less this host's, in milliseconds, as close as the round trip was short.
    pub clock_ahead_ms: i64,
    /// Connections that are open.
    pub connections: u64,
}

/// How many migrations the tables of the URL's database have had.
///
/// # Errors
/// As [`inspect`], and [`Config`](idem_core::store::StoreErrorKind::Config) where this user may not look.
pub async fn migrations(url: &str) -> Result<Migrations, StoreError> {
    let mut connection = open(url).await?;
    let found = read_migrations(&mut connection).await;
    let _ = connection.close().await;
    found.map_err(failed)
}

/// Looks at a server and at the tables in the URL's database.
///
/// # Errors
/// As [`MySqlStore::connect`](crate::MySqlStore::connect), but for a server with `sysdate_is_now`.
pub async fn inspect(url: &str) -> Result<MySqlFacts, StoreError> {
    let mut connection = open(url).await?;
    let facts = read(&mut connection).await.map_err(failed);
    let _ = connection.close().await;
    facts
}

async fn open(url: &str) -> Result<MySqlConnection, StoreError> {
    let options: MySqlConnectOptions = url.parse().map_err(failed)?;
    let options = options
        .timezone(Some("+00:00".to_owned()))
        .disable_statement_logging();
    options.connect().await.map_err(failed)
}

async fn read(connection: &mut MySqlConnection) -> Result<MySqlFacts, sqlx::Error> {
    let mut facts = MySqlFacts::default();
    let names: Vec<_> = SETTINGS.iter().map(|name| format!("'{name}'")).collect();
    let sql = format!(
        "SHOW VARIABLES WHERE Variable_name IN ({})",
        names.join(",")
    );
    for row in rows(connection, sql).await? {
        facts.settings.insert(text(&row, 0)?, text(&row, 1)?);
    }
    let check = rows(connection, sql::CHECK.to_owned()).await?;
    if let Some(row) = check.first() {
        facts.sysdate_moves = row.try_get::<i64, _>(1)? == 1;
    }
    // Twice: the first one pays for what a new session has yet to load.
    let clock = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)";
    for _ in 0..2 {
        let before = wall_ms();
        let server = one(connection, clock.to_owned()).await?;
        facts.clock_ahead_ms = server - i64::midpoint(before, wall_ms());
    }
    let threads = rows(
        connection,
        "SHOW STATUS LIKE 'Threads_connected'".to_owned(),
    )
    .await?;
    if let Some(row) = threads.first() {
        facts.connections = text(row, 1)?.parse().unwrap_or(0);
    }
    facts.migrations = match read_migrations(connection).await {
        Ok(found) => Some(found),
        Err(error) if is_denied(&error) => None,
        Err(error) => return Err(error),
    };
    read_table(connection, &mut facts).await?;
    if !facts.engine.is_empty() {
        facts.missing_privileges = missing_privileges(connection).await?;
        if facts.missing_privileges.is_empty() {
            let sql = sql::overdue();
            facts.overdue_rows = unsigned(one(connection, sql).await?);
        }
    }
    Ok(facts)
}

async fn read_table(
    connection: &mut MySqlConnection,
    facts: &mut MySqlFacts,
) -> Result<(), sqlx::Error> {
    let sql = "SELECT CAST(COALESCE(ENGINE, '') AS CHAR), CAST(COALESCE(TABLE_ROWS, 0) AS SIGNED), \
        CAST(COALESCE(DATA_LENGTH + INDEX_LENGTH, 0) AS SIGNED), \
        (SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_NAME = 'idem_records' AND INDEX_NAME = 'PRIMARY') \
        FROM information_schema.TABLES \
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'idem_records'";
    let found = rows(connection, sql.to_owned()).await?;
    if let Some(row) = found.first() {
        facts.engine = text(row, 0)?;
        facts.rows = unsigned(row.try_get(1)?);
        facts.bytes = unsigned(row.try_get(2)?);
        facts.has_primary_key = row.try_get::<i64, _>(3)? == 2;
    }
    Ok(())
}

/// `EXPLAIN` needs the rights of its statement and carries nothing out.
async fn missing_privileges(connection: &mut MySqlConnection) -> Result<Vec<String>, sqlx::Error> {
    let mut missing = Vec::new();
    for (right, statement) in [
        ("SELECT", "SELECT body FROM idem_records WHERE `key` = ''"),
        (
            "INSERT",
            "INSERT INTO idem_records (`key`, scope, version, writer, updated_at, expires_at, \
             status, body) VALUES ('', '', '', 0, 0, 0, '', '')",
        ),
        (
            "UPDATE",
            "UPDATE idem_records SET status = '' WHERE `key` = ''",
        ),
        ("DELETE", "DELETE FROM idem_records WHERE `key` = ''"),
    ] {
        match rows(connection, format!("EXPLAIN {statement}")).await {
            Ok(_) => {}
            Err(error) if is_denied(&error) => missing.push(format!("{right} on idem_records")),
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

async fn read_migrations(connection: &mut MySqlConnection) -> Result<Migrations, sqlx::Error> {
    let applied = match applied(connection).await {
        Ok(applied) => applied,
        // There is no such table.
        Err(error) if number(&error) == Some(1146) => 0,
        Err(error) => return Err(error),
    };
    Ok(Migrations {
        applied,
        known: STEPS.len(),
    })
}

/// Of a table, a column, or a database.
fn is_denied(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1142 | 1143 | 1044 | 1227))
}

async fn rows(connection: &mut MySqlConnection, sql: String) -> Result<Vec<MySqlRow>, sqlx::Error> {
    // Safe: the crate's own text.
    connection
        .fetch_all(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await
}

async fn one(connection: &mut MySqlConnection, sql: String) -> Result<i64, sqlx::Error> {
    let found = rows(connection, sql).await?;
    found.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
}

/// Text or bytes, as servers differ in what `SHOW` answers with.
fn text(row: &MySqlRow, column: usize) -> Result<String, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get_unchecked(column)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn failed(error: sqlx::Error) -> StoreError {
    store_error(error, Stage::Connecting)
}
