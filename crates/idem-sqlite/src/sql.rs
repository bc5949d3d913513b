//! The statements, for one row and for many.

use std::{fmt::Write, sync::Arc};

use sqlx::{AssertSqlSafe, Sqlite, query::Query, sqlite::SqliteArguments};

/// For how many rows there are statements: few sizes, so that each is prepared once.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// One statement in each size.
#[derive(Debug)]
pub(crate) struct Statement {
    sizes: [Arc<str>; SIZES.len()],
}

impl Statement {
    fn new(text: impl Fn(usize) -> String) -> Self {
        Self {
            sizes: SIZES.map(|rows| text(rows).into()),
        }
    }

    /// Cuts rows into parts, each with the statement for its size.
    pub(crate) fn parts<'a, T>(
        &'a self,
        mut rows: &'a [T],
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a [T])> {
        std::iter::from_fn(move || {
            let fits = |size: &usize| *size <= rows.len();
            let (size, sql) = SIZES.iter().zip(&self.sizes).find(|(size, _)| fits(size))?;
            let (part, rest) = rows.split_at(*size);
            rows = rest;
            Some((sql, part))
        })
    }
}

/// The statements of a store.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Files records where there is none, or one past its ttl; gives the keys of those it filed.
    pub(crate) create: Statement,
    /// Replaces records whose version is the expected one; gives the keys of those it replaced.
    pub(crate) update: Statement,
    /// Removes records likewise.
    pub(crate) delete: Statement,
    /// The rows of keys.
    pub(crate) get: Statement,
}

impl Statements {
    pub(crate) fn new() -> Self {
        Self {
            create: Statement::new(|rows| {
                format!(
                    "INSERT INTO idem_records \
                     (key, scope, version, updated_at, expires_at, status, body) VALUES {} \
                     ON CONFLICT (key, scope) DO UPDATE SET version = excluded.version, \
                     updated_at = excluded.updated_at, expires_at = excluded.expires_at, \
                     status = excluded.status, body = excluded.body \
                     WHERE idem_records.expires_at <= excluded.updated_at \
                     RETURNING key, scope",
                    values(rows, 7)
                )
            }),
            update: Statement::new(|rows| {
                format!(
                    "WITH v (key, scope, expected, version, updated_at, expires_at, status, body) \
                     AS (VALUES {}) \
                     UPDATE idem_records SET version = v.version, updated_at = v.updated_at, \
                     expires_at = v.expires_at, status = v.status, body = v.body FROM v \
                     WHERE idem_records.key = v.key AND idem_records.scope = v.scope \
                     AND idem_records.version = v.expected \
                     AND idem_records.expires_at > v.updated_at \
                     RETURNING idem_records.key, idem_records.scope",
                    values(rows, 8)
                )
            }),
            delete: Statement::new(|rows| {
                format!(
                    "DELETE FROM idem_records WHERE expires_at > ? \
                     AND (key, scope, version) IN (VALUES {}) RETURNING key, scope",
                    values(rows, 3)
                )
            }),
            get: Statement::new(|rows| {
                format!(
                    "SELECT key, scope, version, updated_at, expires_at, body FROM idem_records \
                     WHERE (key, scope) IN (VALUES {})",
                    values(rows, 2)
                )
            }),
        }
    }
}

/// A statement, to be given its arguments.
pub(crate) fn query(sql: &Arc<str>) -> Query<'static, Sqlite, SqliteArguments> {
    // Safe: the crate's own text.
    sqlx::query(AssertSqlSafe(Arc::clone(sql)))
}

/// `(?,?),(?,?)`: so many rows of so many values.
fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    let mut out = String::with_capacity(rows * (row.len() + 1));
    for index in 0..rows {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{row}").expect("a String takes any text");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_rows_in_their_order() {
        let statement = Statement::new(|rows| rows.to_string());
        let rows: Vec<_> = (0..150).collect();
        let parts: Vec<_> = statement.parts(&rows).collect();
        for (sql, part) in &parts {
            assert_eq!(sql.parse(), Ok(part.len()));
        }
        assert_eq!(parts.iter().map(|(_, part)| part.len()).max(), Some(64));
        let covered: Vec<_> = parts.iter().flat_map(|(_, part)| part.to_vec()).collect();
        assert_eq!(covered, rows);
    }
}
