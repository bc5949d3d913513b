//! Making and upgrading the tables.
//!
//! A statement that makes a table commits by itself here, so each step can be taken again: whoever
//! dies half-way leaves it to the next.

use std::fmt::Write as _;

use idem_core::store::StoreError;
use sqlx::{AssertSqlSafe, Executor, MySqlConnection, Row};

use crate::{
    MySqlStore,
    session::{Failure, lost},
};

/// The steps, in order. One that was released never changes: it is followed by another.
pub(crate) const STEPS: &[&str] = &[include_str!("../migrations/0001_records.sql")];

/// Where the steps that were taken are noted.
const LEDGER: &str = "CREATE TABLE IF NOT EXISTS idem_migrations (\
    version INT NOT NULL PRIMARY KEY, \
    applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP) ENGINE = InnoDB";

/// Held by one session of a server at a time, and for this database.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('idem-migrate-', SHA1(DATABASE())), 60)";

const UNLOCK: &str = "SELECT RELEASE_LOCK(CONCAT('idem-migrate-', SHA1(DATABASE())))";

impl MySqlStore {
    /// Makes the tables, or brings them up to date.
    ///
    /// Does nothing, and needs no rights, when they are. Any number of processes may do this at once:
    /// one does it, the others wait for that one.
    ///
    /// # Errors
    /// As for any store call. [`Config`](idem_core::store::StoreErrorKind::Config) when the user may not
    /// create tables, and when the tables are of a newer release than this. Calls of an older release
    /// that still runs are refused likewise, within a minute.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the tables made or not; call it again.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let sessions = self.sessions();
        let mut own = sessions.own().spare().await?;
        let mut taken = own.take().ok_or_else(lost)?;
        let upgraded = self.upgrade(&mut taken.0).await;
        // Otherwise it is closed, and its lock let go.
        if upgraded.is_ok() {
            own.put(taken);
            sessions.ledger().note();
        }
        upgraded
    }

    async fn upgrade(&self, connection: &mut MySqlConnection) -> Result<(), StoreError> {
        let ledger = self.sessions().ledger();
        let applied_before = applied(connection).await.unwrap_or(0);
        ledger.refuse_newer(applied_before)?;
        if applied_before == STEPS.len() {
            return Ok(());
        }
        run(connection, LOCK).await.map_err(failed)?;
        run(connection, LEDGER).await.map_err(failed)?;
        let taken = applied(connection).await.map_err(failed)?;
        ledger.refuse_newer(taken)?;
        for (index, step) in STEPS.iter().enumerate().skip(taken) {
            run(connection, step).await.map_err(failed)?;
            run(connection, &note(index + 1)).await.map_err(failed)?;
        }
        run(connection, UNLOCK).await.map_err(failed)
    }

    /// What [`migrate`](Self::migrate) does, as SQL that can be applied any number of times: for those
    /// who run their migrations by other means.
    #[must_use]
    pub fn migration_sql(&self) -> String {
        let mut sql = format!("{LEDGER};\n");
        for (index, step) in STEPS.iter().enumerate() {
            write!(sql, "\n{step}\n{};\n", note(index + 1)).expect("a String takes any text");
        }
        sql
    }
}

/// How many steps were taken.
pub(crate) async fn applied(connection: &mut MySqlConnection) -> Result<usize, sqlx::Error> {
    let sql = "SELECT CAST(COALESCE(MAX(version), 0) AS SIGNED) FROM idem_migrations";
    let row = connection.fetch_one(sqlx::raw_sql(sql)).await?;
    let latest: i64 = row.try_get(0)?;
    Ok(usize::try_from(latest).unwrap_or(usize::MAX))
}

fn note(version: usize) -> String {
    format!("INSERT IGNORE INTO idem_migrations (version) VALUES ({version})")
}

async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<(), sqlx::Error> {
    // Safe: the crate's own text.
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    connection.execute(sql).await.map(drop)
}

fn failed(error: sqlx::Error) -> StoreError {
    Failure::Sqlx(error).into_store_error()
}
