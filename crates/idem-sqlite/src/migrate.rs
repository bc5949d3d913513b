//! Making and upgrading the tables, and setting the clock: one transaction, at the first connection.

use idem_core::store::StoreError;
use idem_sql::{Ledger, Stage};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::{
    clock::{Clock, Host, Noted},
    error::store_error,
    files::{begin, roll_back, run},
};

/// The steps, in order. One that was released never changes: it is followed by another.
pub(crate) const STEPS: &[&str] = &[include_str!("../migrations/0001_records.sql")];

/// Where the steps that were taken are noted.
const LEDGER: &str = "CREATE TABLE IF NOT EXISTS idem_migrations \
    (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT";

/// Brings the tables up to date and goes on with the clock. Writes nothing, and waits for nobody,
/// where both are as they should be. Of any number of processes that do this at once one does it.
pub(crate) async fn prepare(
    connection: &mut SqliteConnection,
    ledger: &Ledger,
) -> Result<Clock, StoreError> {
    let host = Host::read();
    let applied = applied(connection).await.map_err(failed)?;
    ledger.refuse_newer(applied)?;
    if applied == STEPS.len() {
        let noted = noted(connection).await.map_err(failed)?;
        if let (clock, None) = Clock::start(noted.as_ref(), &host) {
            return Ok(clock);
        }
    }
    begin(connection).await?;
    let upgraded = upgrade(connection, ledger, &host).await;
    if upgraded.is_err() {
        roll_back(connection).await;
    }
    upgraded
}

async fn upgrade(
    connection: &mut SqliteConnection,
    ledger: &Ledger,
    host: &Host,
) -> Result<Clock, StoreError> {
    // Once more, now that nobody else can write.
    let taken = applied(connection).await.map_err(failed)?;
    ledger.refuse_newer(taken)?;
    if taken == 0 {
        run(connection, LEDGER).await.map_err(failed)?;
    }
    for (index, step) in STEPS.iter().enumerate().skip(taken) {
        // Safe: the crate's own text.
        let stepped = sqlx::raw_sql(AssertSqlSafe(*step)).execute(&mut *connection);
        stepped.await.map_err(failed)?;
        let note = format!(
            "INSERT INTO idem_migrations (version) VALUES ({})",
            index + 1
        );
        run(connection, note).await.map_err(failed)?;
    }
    let before = noted(connection).await.map_err(failed)?;
    let (clock, to_note) = Clock::start(before.as_ref(), host);
    if let Some(to_note) = to_note {
        set(connection, to_note).await.map_err(failed)?;
    }
    let committed = run(connection, "COMMIT").await;
    committed.map_err(|error| store_error(error, Stage::Sent))?;
    Ok(clock)
}

/// How many steps were taken.
pub(crate) async fn applied(connection: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let sql =
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'idem_migrations'";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM idem_migrations";
    let latest: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(usize::try_from(latest).unwrap_or(usize::MAX))
}

pub(crate) async fn noted(connection: &mut SqliteConnection) -> Result<Option<Noted>, sqlx::Error> {
    let sql = "SELECT boot, offset_ms, seen_ms, wall_ms FROM idem_clock";
    let row = sqlx::query(sql).fetch_optional(connection).await?;
    let read = |row: sqlx::sqlite::SqliteRow| {
        Ok(Noted {
            boot: row.try_get(0)?,
            offset_ms: row.try_get(1)?,
            seen_ms: row.try_get(2)?,
            wall_ms: row.try_get(3)?,
        })
    };
    row.map(read).transpose()
}

async fn set(connection: &mut SqliteConnection, noted: Noted) -> Result<(), sqlx::Error> {
    let sql = "INSERT OR REPLACE INTO idem_clock (one, boot, offset_ms, seen_ms, wall_ms) \
        VALUES (1, ?, ?, ?, ?)";
    let query = sqlx::query(sql)
        .bind(noted.boot)
        .bind(noted.offset_ms)
        .bind(noted.seen_ms)
        .bind(noted.wall_ms);
    query.execute(connection).await.map(drop)
}

/// Before the commit nothing was applied.
fn failed(error: sqlx::Error) -> StoreError {
    store_error(error, Stage::Connecting)
}
