//! Rows as records.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{StoreError, Stored},
};
use idem_sql::{batch::Answer, row};
use sqlx::{Row, SqliteConnection, ValueRef as _, sqlite::SqliteRow};

use crate::{error::store_error, sql::Statements};

/// A row that was found, in the columns of [`Statements::get`].
pub(crate) struct Found(SqliteRow);

impl Found {
    pub(crate) fn new(row: SqliteRow) -> Self {
        Self(row)
    }

    /// Its key and scope.
    pub(crate) fn place(&self) -> Result<(&str, &str), StoreError> {
        place(&self.0)
    }

    /// Whether its record was read, too.
    pub(crate) fn has_body(&self) -> bool {
        self.0.try_get_raw(5).is_ok_and(|body| !body.is_null())
    }

    /// What it says at this time: [`Answer::Found`], or [`Answer::Expired`] past its ttl.
    pub(crate) fn answer(&self, now_ms: i64) -> Result<Answer, StoreError> {
        let expires: i64 = self.0.try_get(4).map_err(unreadable)?;
        if expires <= now_ms {
            return Ok(Answer::Expired);
        }
        self.stored(now_ms, expires).map(Answer::Found)
    }

    fn stored(&self, now_ms: i64, expires: i64) -> Result<Stored, StoreError> {
        let version: &[u8] = self.0.try_get(2).map_err(unreadable)?;
        let updated: i64 = self.0.try_get(3).map_err(unreadable)?;
        let body: Vec<u8> = self.0.try_get(5).map_err(unreadable)?;
        row::read(
            version,
            body,
            span(now_ms.saturating_sub(updated)),
            span(expires.saturating_sub(now_ms)),
        )
    }
}

/// Key and scope, the first two columns of every answer.
pub(crate) fn place(row: &SqliteRow) -> Result<(&str, &str), StoreError> {
    let key = row.try_get(0).map_err(unreadable)?;
    let scope = row.try_get(1).map_err(unreadable)?;
    Ok((key, scope))
}

/// The rows of these keys, in no order.
pub(crate) async fn find(
    connection: &mut SqliteConnection,
    sql: &Statements,
    keys: &[&RecordKey],
) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = Vec::with_capacity(keys.len());
    for (sql, part) in sql.get.parts(keys) {
        let mut query = crate::sql::query(sql);
        for key in part {
            query = query.bind(key.key()).bind(key.scope());
        }
        let rows = query.fetch_all(&mut *connection).await?;
        found.extend(rows.into_iter().map(Found::new));
    }
    Ok(found)
}

/// A time span of the store's clock.
fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

pub(crate) fn unreadable(error: sqlx::Error) -> StoreError {
    store_error(error, idem_sql::Stage::Connecting)
}
