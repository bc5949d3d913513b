//! A row of the table of transfers, which has the same columns in every database.

use std::error::Error as StdError;

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{Execution, Kind, Transfer};
use crate::money::{Amount, Currency};

/// Reads a transfer of this kind.
pub(super) fn transfer<R: Row>(kind: Kind, row: &R) -> sqlx::Result<Transfer>
where
    &'static str: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
{
    let amount = u64::try_from(row.try_get::<i64, _>("amount")?).map_err(decode)?;
    let attempt: Option<i64> = row.try_get("attempt")?;
    let bank_key: Option<String> = row.try_get("bank_key")?;
    let execution = match attempt.zip(bank_key) {
        Some((attempt, bank_key)) => Some(Execution {
            attempt: u32::try_from(attempt).map_err(decode)?,
            bank_key,
        }),
        None => None,
    };
    let currency: Currency = row
        .try_get::<String, _>("currency")?
        .parse()
        .map_err(decode)?;
    Ok(Transfer {
        id: row.try_get("id")?,
        object: kind,
        amount: Amount::try_from(amount).map_err(decode)?,
        currency,
        description: row.try_get("description")?,
        status: row
            .try_get::<String, _>("status")?
            .parse()
            .map_err(decode)?,
        execution,
        created_at: row.try_get("created_at")?,
    })
}

fn decode(error: impl StdError + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
