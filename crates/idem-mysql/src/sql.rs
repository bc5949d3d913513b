//! The statements.
//!
//! They keep to what both MariaDB and MySQL 8 document. Batches are plain text with hexadecimal
//! literals, so that every value has one type whatever the session's character set is, and need no
//! statement prepared for each number of rows. One row alone is written by a prepared statement.
//!
//! Rows are named in the order of the primary key and read by it, so that all statements lock them in
//! one order. A statement reads the clock behind the lock: `SYSDATE` moves on while it waits, as `NOW`
//! does not.

use std::{fmt::Write as _, sync::LazyLock};

use idem_core::{RecordKey, store::Filter};
use idem_sql::row::Row;
use sqlx::{MySql, mysql::MySqlArguments, query::Query};

/// The server's clock, in microseconds since 1970. `SYSDATE` is in the session's time zone, and what
/// that differs from UTC is known from `NOW`: both are as of the statement's start.
const NOW: &str = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) \
    - TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), NOW(6)))";

/// What the server says of itself. Columns: none of interest; whether `SYSDATE` moves on within a
/// statement; the largest packet; the version.
pub(crate) const CHECK: &str = "SELECT SLEEP(0.002), CAST(SYSDATE(6) > NOW(6) AS SIGNED), \
    CAST(@@max_allowed_packet AS SIGNED), VERSION()";

/// How many records were past their ttl ten minutes ago; counted up to 100,000. A row that was released
/// is none of them.
pub(crate) fn overdue() -> String {
    format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM idem_records WHERE expires_at > 0 \
         AND expires_at < {NOW} - 600000000 LIMIT 100000) AS overdue"
    )
}

/// A row that takes the place of another.
pub(crate) struct Replacement<'a> {
    pub(crate) key: &'a RecordKey,
    pub(crate) expected: Vec<u8>,
    /// `None` releases the key: its row counts as absent, and is swept like one that has expired.
    pub(crate) row: Option<Row>,
}

/// Files records where there is none, or one past its ttl.
///
/// Assignments are carried out from left to right. The first reads the clock: it sets `updated_at` to
/// a time that is not before `expires_at` if and only if the row has expired, and the others go by
/// that. A row that is live keeps every column.
fn create_with(rows: &str, live_writer: &str) -> String {
    let taken = |column, live| format!("IF(updated_at >= expires_at, VALUES({column}), {live})");
    let taken_or_kept = |column| taken(column, column);
    format!(
        "INSERT INTO idem_records \
         (`key`, scope, version, writer, updated_at, expires_at, status, body) {rows} \
         ON DUPLICATE KEY UPDATE updated_at = IF(expires_at <= {NOW}, {NOW}, updated_at), \
         version = {}, writer = {}, status = {}, body = {}, \
         expires_at = IF(updated_at >= expires_at, \
         updated_at + VALUES(expires_at) - VALUES(updated_at), expires_at)",
        taken_or_kept("version"),
        taken("writer", live_writer),
        taken_or_kept("status"),
        taken_or_kept("body"),
    )
}

/// What a statement in a transaction of the user's asks first on MariaDB, so that it does not commit by
/// itself where the server has ended the transaction.
pub(crate) const IS_OPEN: &str = "@@in_transaction";

/// [`create`] of one row with arguments: key, scope, version, writer, ttl, status, body. Does nothing
/// unless `condition` holds. What it says of the last insert's number is 0 unless there is a live row,
/// whose columns it then leaves as they are.
pub(crate) fn create_one(condition: &str) -> String {
    let values = format!("SELECT ?, ?, ?, ?, {NOW}, {NOW} + ?, ?, ? FROM DUAL WHERE {condition}");
    create_with(&values, "IF(LAST_INSERT_ID(1) = 1, writer, VALUES(writer))")
}

/// [`replace`] of one row with arguments: writer, ttl, status, body, version, key, scope, and the
/// expected version. Does nothing unless `condition` holds.
pub(crate) fn replace_one(condition: &str) -> String {
    format!(
        "UPDATE idem_records SET writer = ?, updated_at = {NOW}, expires_at = {NOW} + ?, \
         status = ?, body = ?, version = ? \
         WHERE `key` = ? AND scope = ? AND version = ? AND expires_at > {NOW} AND {condition}"
    )
}

/// The arguments of [`create_one`].
pub(crate) fn bind_create<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    key: &'q RecordKey,
    row: &'q Row,
    writer: i64,
) -> Query<'q, MySql, MySqlArguments> {
    query
        .bind(key.key().as_bytes())
        .bind(key.scope().as_bytes())
        .bind(&*row.version)
        .bind(writer)
        .bind(micros(row))
        .bind(row.status.as_bytes())
        .bind(&row.body[..])
}

/// The arguments of [`replace_one`].
pub(crate) fn bind_replace<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    key: &'q RecordKey,
    expected: &'q [u8],
    row: &'q Row,
    writer: i64,
) -> Query<'q, MySql, MySqlArguments> {
    query
        .bind(writer)
        .bind(micros(row))
        .bind(row.status.as_bytes())
        .bind(&row.body[..])
        .bind(&*row.version)
        .bind(key.key().as_bytes())
        .bind(key.scope().as_bytes())
        .bind(expected)
}

/// [`create_one`] in a transaction of its own.
pub(crate) static CREATE_ALONE: LazyLock<String> = LazyLock::new(|| create_one("TRUE"));

/// [`replace_one`] likewise.
pub(crate) static REPLACE_ALONE: LazyLock<String> = LazyLock::new(|| replace_one("TRUE"));

/// The row of a key and a scope, locked until the transaction ends. The columns are those of [`find`].
pub(crate) static LOCK_ONE: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE `key` = ? AND scope = ? FOR UPDATE", found("body")));

/// Files records, and then says what is there.
pub(crate) fn create(rows: &[(&RecordKey, Row)], writer: i64) -> String {
    let values = rows.iter().map(|(key, row)| {
        format!(
            "({}, {}, {}, {writer}, {NOW}, {NOW} + {}, '{}', {})",
            hex(key.key().as_bytes()),
            hex(key.scope().as_bytes()),
            hex(&row.version),
            micros(row),
            row.status,
            hex(&row.body),
        )
    });
    create_with(&format!("VALUES {}", join(values, ", ")), "writer")
}

/// Replaces live records whose version is the expected one. Their versions tell the rows apart; the
/// column itself is assigned last.
pub(crate) fn replace(rows: &[Replacement<'_>], writer: i64) -> String {
    let each = |value: &mut dyn FnMut(&Replacement<'_>) -> String| match rows {
        [one] => value(one),
        _ => {
            let cases = rows
                .iter()
                .map(|row| format!("WHEN {} THEN {}", hex(&row.expected), value(row)));
            format!("CASE version {} END", join(cases, " "))
        }
    };
    let expires = each(&mut |row| match &row.row {
        Some(row) => format!("{NOW} + {}", micros(row)),
        None => "0".to_owned(),
    });
    let status = each(&mut |row| {
        let status = row.row.as_ref().map_or("released", |row| row.status);
        format!("'{status}'")
    });
    let bodies = each(&mut |row| match &row.row {
        Some(row) => hex(&row.body),
        None => "''".to_owned(),
    });
    let version = each(&mut |row| match &row.row {
        Some(row) => hex(&row.version),
        None => hex(&row.expected),
    });
    let places = rows.iter().map(|row| {
        let (key, version) = (place(row.key), hex(&row.expected));
        format!("({key} AND version = {version})")
    });
    format!(
        "UPDATE idem_records FORCE INDEX (PRIMARY) SET writer = {writer}, updated_at = {NOW}, \
         expires_at = {expires}, status = {status}, body = {bodies}, version = {version} \
         WHERE expires_at > {NOW} AND ({})",
        join(places, " OR ")
    )
}

/// The rows of keys. Columns: key, scope, version, age and time to live in microseconds, writer, and
/// the body unless this writer wrote it.
pub(crate) fn find(keys: &[&RecordKey], writer: i64) -> String {
    let body = format!("IF(writer <=> {writer}, NULL, body)");
    let places = keys.iter().map(|key| format!("({})", place(key)));
    format!("{} WHERE {}", found(&body), join(places, " OR "))
}

/// [`find`], once nobody is writing to these rows.
pub(crate) fn find_decided(keys: &[&RecordKey], writer: i64) -> String {
    format!("{} LOCK IN SHARE MODE", find(keys, writer))
}

/// A page of live records behind a key, in the columns of [`find`]. Arguments: key twice, scope, and
/// how many. Without the body of a record whose state is not one that is asked for.
pub(crate) fn page(filter: &Filter) -> String {
    let body = match &*filter.states {
        [] => "body".to_owned(),
        states => {
            // Names of the code's own: no text of anybody else's is in a statement.
            let names = states.iter().map(|state| format!("'{}'", state.name()));
            format!("IF(status IN ({}), body, NULL)", join(names, ", "))
        }
    };
    format!(
        "{} WHERE `key` >= ? AND (`key` > ? OR scope > ?) AND expires_at > {NOW} \
         ORDER BY `key`, scope LIMIT ?",
        found(&body)
    )
}

/// Keys behind a key, and whether each has expired: reads no record. Arguments as for [`page`].
pub(crate) fn look() -> String {
    format!(
        "SELECT `key`, scope, CAST(expires_at <= {NOW} AS SIGNED) \
         FROM idem_records FORCE INDEX (PRIMARY) \
         WHERE `key` >= ? AND (`key` > ? OR scope > ?) ORDER BY `key`, scope LIMIT ?"
    )
}

/// Removes rows that have expired.
pub(crate) fn remove(places: &[(Vec<u8>, Vec<u8>)]) -> String {
    let places = places
        .iter()
        .map(|(key, scope)| format!("(r.`key` = {} AND r.scope = {})", hex(key), hex(scope)));
    format!(
        "DELETE r FROM idem_records AS r FORCE INDEX (PRIMARY) \
         WHERE r.expires_at <= {NOW} AND ({})",
        join(places, " OR ")
    )
}

fn found(body: &str) -> String {
    format!(
        "SELECT `key`, scope, version, CAST({NOW} - updated_at AS SIGNED), \
         CAST(expires_at - {NOW} AS SIGNED), writer, {body} \
         FROM idem_records FORCE INDEX (PRIMARY)"
    )
}

fn place(key: &RecordKey) -> String {
    let (key, scope) = (key.key(), key.scope());
    format!(
        "`key` = {} AND scope = {}",
        hex(key.as_bytes()),
        hex(scope.as_bytes())
    )
}

/// The ttl of a row, one at least: a live row has `updated_at` before `expires_at`.
pub(crate) fn micros(row: &Row) -> i64 {
    row.ttl_ms.saturating_mul(1000).max(1)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 3);
    text.push_str("x'");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    text.push('\'');
    text
}

fn join(parts: impl Iterator<Item = String>, by: &str) -> String {
    parts.collect::<Vec<_>>().join(by)
}
