//! One statement and its arguments, over either protocol.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::literal;

/// A value of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Bytes(Option<&'a [u8]>),
    Int(Option<i64>),
}

/// A bind parameter. The statement casts each, so that both protocols agree on its type.
#[derive(Debug, Clone)]
pub(crate) enum Argument<'a> {
    One(Scalar<'a>),
    Texts(Vec<&'a str>),
    BytesList(Vec<Option<&'a [u8]>>),
    Ints(Vec<Option<i64>>),
}

impl<'a> Argument<'a> {
    /// Adds a value of the list's type.
    fn push(&mut self, cell: Scalar<'a>) {
        match (self, cell) {
            (Self::Texts(list), Scalar::Text(text)) => list.push(text),
            (Self::BytesList(list), Scalar::Bytes(bytes)) => list.push(bytes),
            (Self::Ints(list), Scalar::Int(int)) => list.push(int),
            (list, cell) => debug_assert!(false, "{cell:?} does not belong into {list:?}"),
        }
    }

    /// How long a statement is to wait for a lock, in milliseconds.
    pub(crate) fn lock_timeout(timeout: Duration) -> Self {
        Self::One(Scalar::Int(Some(lock_timeout_ms(timeout))))
    }

    /// A list for so many values of this one's type.
    fn list(first: Scalar<'_>, room: usize) -> Self {
        match first {
            Scalar::Text(_) => Self::Texts(Vec::with_capacity(room)),
            Scalar::Bytes(_) => Self::BytesList(Vec::with_capacity(room)),
            Scalar::Int(_) => Self::Ints(Vec::with_capacity(room)),
        }
    }

    /// How many bytes of text and binary it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(Scalar::Text(text)) => text.len(),
            Self::One(Scalar::Bytes(bytes)) => bytes.map_or(0, <[u8]>::len),
            Self::Texts(texts) => texts.iter().map(|text| text.len()).sum(),
            Self::BytesList(list) => list.iter().flatten().map(|bytes| bytes.len()).sum(),
            Self::One(Scalar::Int(_)) | Self::Ints(_) => 0,
        }
    }
}

/// The columns of many calls as one array each. `write_row` appends the cells of a call to a row; all
/// rows have the same types in the same places.
pub(crate) fn columns<'a, C>(
    calls: &'a [C],
    write_row: impl Fn(&'a C, &mut Vec<Scalar<'a>>),
) -> Vec<Argument<'a>> {
    let mut columns = Vec::new();
    let mut row = Vec::new();
    for call in calls {
        row.clear();
        write_row(call, &mut row);
        if columns.is_empty() {
            columns.extend(row.iter().map(|cell| Argument::list(*cell, calls.len())));
        }
        for (column, cell) in columns.iter_mut().zip(&row) {
            column.push(*cell);
        }
    }
    columns
}

/// How a statement goes to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As a named prepared statement, which lives as long as the session.
    Prepared,
    /// As an unnamed one, which lives as long as the transaction around it.
    Unnamed,
    /// As plain text, in a transaction of its own, with nothing left behind.
    Text,
}

/// Before a statement in plain text: what the session's defaults may have otherwise.
const PREAMBLE: &str =
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL bytea_output = 'hex'; ";

/// Sends one statement and reads all of its rows.
pub(crate) async fn call(
    connection: &mut PgConnection,
    dialect: Dialect,
    sql: &Arc<str>,
    arguments: &[Argument<'_>],
) -> Result<Vec<PgRow>, sqlx::Error> {
    match dialect {
        Dialect::Prepared => prepared(sql, arguments).fetch_all(connection).await,
        Dialect::Unnamed => {
            let query = prepared(sql, arguments).persistent(false);
            query.fetch_all(connection).await
        }
        Dialect::Text => {
            let text = format!("{PREAMBLE}{}", literal::interpolate(sql, arguments));
            // Safe: every argument is a literal that cannot be left.
            sqlx::raw_sql(AssertSqlSafe(text))
                .fetch_all(connection)
                .await
        }
    }
}

/// Sends a statement within a transaction, and says how many rows it changed.
pub(crate) async fn execute(
    connection: &mut PgConnection,
    dialect: Dialect,
    sql: &Arc<str>,
    arguments: &[Argument<'_>],
) -> Result<u64, sqlx::Error> {
    let query = prepared(sql, arguments).persistent(dialect == Dialect::Prepared);
    Ok(query.execute(connection).await?.rows_affected())
}

fn prepared<'a>(sql: &Arc<str>, arguments: &'a [Argument<'a>]) -> Query<'a, Postgres, PgArguments> {
    // Safe: the text is one of this crate's own, with a quoted schema name.
    let query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    arguments
        .iter()
        .fold(query, |query, argument| match argument {
            Argument::One(Scalar::Text(text)) => query.bind(text),
            Argument::One(Scalar::Bytes(bytes)) => query.bind(bytes),
            Argument::One(Scalar::Int(int)) => query.bind(int),
            Argument::Texts(texts) => query.bind(texts.as_slice()),
            Argument::BytesList(list) => query.bind(list.as_slice()),
            Argument::Ints(ints) => query.bind(ints.as_slice()),
        })
}

/// As the server takes it: 0 would be for ever, and more than 24 days are refused.
fn lock_timeout_ms(timeout: Duration) -> i64 {
    i32::try_from(timeout.as_millis())
        .unwrap_or(i32::MAX)
        .max(1)
        .into()
}

#[cfg(test)]
mod tests {
    use idem_conformance::DURATIONS;

    use super::*;

    #[test]
    fn every_lock_timeout_is_one_that_the_server_takes() {
        for (timeout, ms) in [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(1), 1000),
            (Duration::from_millis(u64::MAX), i32::MAX.into()),
            (Duration::MAX, i32::MAX.into()),
        ] {
            assert_eq!(lock_timeout_ms(timeout), ms, "{timeout:?}");
        }
        for timeout in DURATIONS {
            assert!(
                (1..=i32::MAX.into()).contains(&lock_timeout_ms(timeout)),
                "{timeout:?}"
            );
        }
    }
}
