//! One statement and its arguments, over either protocol.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{Protocol, literal};

/// A bind parameter. The statement casts each, so that both protocols agree on its type.
#[derive(Debug, Clone)]
pub(crate) enum Argument<'a> {
    Text(&'a str),
    Bytes(Option<&'a [u8]>),
    Int(Option<i64>),
    Texts(Vec<&'a str>),
    BytesList(Vec<Option<&'a [u8]>>),
    Ints(Vec<Option<i64>>),
}

/// Sends one statement and reads all of its rows.
pub(crate) async fn call(
    connection: &mut PgConnection,
    protocol: Protocol,
    sql: &Arc<str>,
    arguments: Vec<Argument<'_>>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    match protocol {
        Protocol::Prepared => prepared(sql, arguments).fetch_all(connection).await,
        Protocol::Simple => {
            // Safe: every argument is a literal that cannot be left.
            let text = AssertSqlSafe(literal::interpolate(sql, &arguments));
            sqlx::raw_sql(text).fetch_all(connection).await
        }
    }
}

fn prepared<'a>(sql: &Arc<str>, arguments: Vec<Argument<'a>>) -> Query<'a, Postgres, PgArguments> {
    // Safe: the text is one of this crate's own, with a quoted schema name.
    let query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    arguments
        .into_iter()
        .fold(query, |query, argument| match argument {
            Argument::Text(text) => query.bind(text),
            Argument::Bytes(bytes) => query.bind(bytes),
            Argument::Int(int) => query.bind(int),
            Argument::Texts(texts) => query.bind(texts),
            Argument::BytesList(list) => query.bind(list),
            Argument::Ints(ints) => query.bind(ints),
        })
}
