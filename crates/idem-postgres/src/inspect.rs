//! What an operator's tool asks of a server. Changes nothing and judges nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use idem_core::store::StoreError;
use idem_sql::{Migrations, Stage};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};

use crate::{PostgresConfig, config::Schema, error::store_error, literal, migrate::STEPS};

/// What is read of the server's settings, as they hold for this role and database.
const SETTINGS: &[&str] = &[
    "autovacuum",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "max_connections",
    "server_version_num",
    "statement_timeout",
    "superuser_reserved_connections",
    "synchronous_commit",
    "synchronous_standby_names",
];

/// A server and the tables on it, as they are found, whether a store could use them or not.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PostgresFacts {
    /// The tables. `None` where this role may not look.
    pub migrations: Option<Migrations>,
    /// Settings by their names, as they hold for this role and database: those that a store depends on.
    pub settings: BTreeMap<String, String>,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// What the role lacks, such as `UPDATE on records`.
    pub missing_privileges: Vec<String>,
    /// Whether the table of records has its primary key, and that is valid.
    pub has_primary_key: bool,
    /// Whether the table is emptied by a crash of the server.
    pub is_unlogged: bool,
    /// Whether autovacuum was turned off for the table.
    pub autovacuum_off: bool,
    /// Rows of the table, by the server's statistics.
    pub live_rows: u64,
    /// Dead versions of rows, by the server's statistics.
    pub dead_rows: u64,
    /// Records whose ttl was over ten minutes ago, and that are not swept; counted up to 100,000.
    pub overdue_rows: u64,
    /// The size of the table with its index.
    pub bytes: u64,
    /// The server's clock less this host's, in milliseconds, as close as the round trip was short.
    pub clock_ahead_ms: i64,
    /// Connections that are open.
    pub connections: u64,
    /// The longest that another session of this database has been idle in a transaction.
    pub longest_idle_in_transaction: Duration,
}

/// How many migrations the tables of this schema have had.
///
/// # Errors
/// As [`inspect`], and [`Config`](idem_core::store::StoreErrorKind::Config) where this role may not look.
pub async fn migrations(url: &str, schema: &str) -> Result<Migrations, StoreError> {
    let schema = named(schema)?;
    let mut connection = open(url).await?;
    let found = read_migrations(&mut connection, &schema).await;
    let _ = connection.close().await;
    found.map_err(failed)
}

/// Looks at a server and at the tables in this schema.
///
/// # Errors
/// As [`PostgresStore::connect`](crate::PostgresStore::connect).
pub async fn inspect(url: &str, schema: &str) -> Result<PostgresFacts, StoreError> {
    let schema = named(schema)?;
    let mut connection = open(url).await?;
    let facts = read(&mut connection, &schema).await.map_err(failed);
    let _ = connection.close().await;
    facts
}

fn named(schema: &str) -> Result<Schema, StoreError> {
    let config = PostgresConfig::default().schema(schema);
    config
        .map(|config| config.schema)
        .map_err(|error| StoreError::config(error.to_string()))
}

async fn open(url: &str) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(failed)?;
    let options = options.extra_float_digits(None).disable_statement_logging();
    options.connect().await.map_err(failed)
}

async fn read(
    connection: &mut PgConnection,
    schema: &Schema,
) -> Result<PostgresFacts, sqlx::Error> {
    let mut facts = PostgresFacts::default();
    let names: Vec<_> = SETTINGS.iter().map(|name| literal::text(name)).collect();
    let sql = format!(
        "SELECT name, reset_val FROM pg_catalog.pg_settings WHERE name IN ({})",
        names.join(",")
    );
    for row in rows(connection, sql).await? {
        facts.settings.insert(row.try_get(0)?, row.try_get(1)?);
    }
    // Twice: the first one pays for what a new session has yet to load.
    let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text";
    for _ in 0..2 {
        let before = wall_ms();
        let server: i64 = number(connection, clock.to_owned()).await?;
        facts.clock_ahead_ms = server - i64::midpoint(before, wall_ms());
    }
    let sql = "SELECT pg_is_in_recovery()::int::text, \
        (SELECT count(*)::text FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'), \
        (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - state_change)), 0)::bigint::text \
         FROM pg_catalog.pg_stat_activity WHERE state LIKE 'idle in transaction%' \
         AND datname = current_database() AND pid <> pg_backend_pid())";
    if let Some(row) = rows(connection, sql.to_owned()).await?.first() {
        facts.in_recovery = cell::<u64>(row, 0)? != 0;
        facts.connections = cell(row, 1)?;
        facts.longest_idle_in_transaction = Duration::from_secs(cell(row, 2)?);
    }
    facts.migrations = match read_migrations(connection, schema).await {
        Ok(found) => Some(found),
        Err(error) if is_denied(&error) => None,
        Err(error) => return Err(error),
    };
    read_table(connection, schema, &mut facts).await?;
    let may_read = facts.missing_privileges.is_empty();
    if facts.migrations.is_some_and(|found| found.applied > 0) && may_read {
        let sql = "SELECT count(*)::text FROM (SELECT 1 FROM idem.records \
            WHERE expires_at < clock_timestamp() - interval '10 minutes' LIMIT 100000) AS overdue";
        facts.overdue_rows = number(connection, schema.apply(sql)).await?;
    }
    Ok(facts)
}

/// The catalogue's say about the table of records, by which it is found also without the right to use
/// its schema.
async fn read_table(
    connection: &mut PgConnection,
    schema: &Schema,
    facts: &mut PostgresFacts,
) -> Result<(), sqlx::Error> {
    let name = literal::text(schema.name());
    let sql = format!(
        "SELECT (NOT has_schema_privilege(n.oid, 'USAGE'))::int::text, \
         (NOT has_table_privilege(c.oid, 'SELECT'))::int::text, \
         (NOT has_table_privilege(c.oid, 'INSERT'))::int::text, \
         (NOT has_table_privilege(c.oid, 'UPDATE'))::int::text, \
         (NOT has_table_privilege(c.oid, 'DELETE'))::int::text, \
         (SELECT count(*)::text FROM pg_catalog.pg_index i \
          WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid), \
         (c.relpersistence = 'u')::int::text, \
         (coalesce(array_to_string(c.reloptions, ','), '') LIKE '%autovacuum_enabled=false%')::int::text, \
         coalesce(pg_stat_get_live_tuples(c.oid), 0)::text, \
         coalesce(pg_stat_get_dead_tuples(c.oid), 0)::text, \
         pg_total_relation_size(c.oid)::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {name} AND c.relname = 'records' AND c.relkind IN ('r', 'p')"
    );
    let found = rows(connection, sql).await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    let rights = [
        "USAGE on the schema",
        "SELECT on records",
        "INSERT on records",
        "UPDATE on records",
        "DELETE on records",
    ];
    for (column, right) in rights.into_iter().enumerate() {
        if cell::<u64>(row, column)? != 0 {
            facts.missing_privileges.push(right.to_owned());
        }
    }
    facts.has_primary_key = cell::<u64>(row, 5)? != 0;
    facts.is_unlogged = cell::<u64>(row, 6)? != 0;
    facts.autovacuum_off = cell::<u64>(row, 7)? != 0;
    facts.live_rows = cell(row, 8)?;
    facts.dead_rows = cell(row, 9)?;
    facts.bytes = cell(row, 10)?;
    Ok(())
}

async fn read_migrations(
    connection: &mut PgConnection,
    schema: &Schema,
) -> Result<Migrations, sqlx::Error> {
    let sql = "SELECT coalesce(max(version), 0)::text FROM idem.migrations";
    let applied = match number(connection, schema.apply(sql)).await {
        Ok(applied) => applied,
        Err(error) if matches!(code(&error).as_deref(), Some("42P01" | "3F000")) => 0,
        Err(error) => return Err(error),
    };
    Ok(Migrations {
        applied,
        known: STEPS.len(),
    })
}

fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

fn is_denied(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("42501")
}

/// A role whose statements are cut short may still ask what is wrong. For this message alone, which is
/// a transaction: a pooler hands the session on.
const PATIENT: &str = "SET LOCAL statement_timeout = 60000";

/// In the simple protocol, which a pooler takes, too: every value is text.
async fn rows(connection: &mut PgConnection, sql: String) -> Result<Vec<PgRow>, sqlx::Error> {
    // Safe: the crate's own text, with names quoted.
    let sql = sqlx::raw_sql(AssertSqlSafe(format!("{PATIENT}; {sql}")));
    sql.fetch_all(connection).await
}

async fn number<T>(connection: &mut PgConnection, sql: String) -> Result<T, sqlx::Error>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let found = rows(connection, sql).await?;
    cell(found.first().ok_or(sqlx::Error::RowNotFound)?, 0)
}

fn cell<T>(row: &PgRow, column: usize) -> Result<T, sqlx::Error>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.try_get(column)?;
    text.parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn failed(error: sqlx::Error) -> StoreError {
    store_error(error, Stage::Connecting)
}
