//! The knobs of a [`PostgresStore`](crate::PostgresStore).

use std::{fmt, num::NonZeroUsize, time::Duration};

/// How a [`PostgresStore`](crate::PostgresStore) works; the defaults are for production.
///
/// ```
/// use std::time::Duration;
/// use idem_postgres::PostgresConfig;
///
/// let config = PostgresConfig::default()
///     .schema("billing")?
///     .lock_timeout(Duration::from_millis(500));
/// # Ok::<(), idem_postgres::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    pub(crate) schema: Schema,
    pub(crate) protocol: Protocol,
    pub(crate) lanes: NonZeroUsize,
    pub(crate) detours: NonZeroUsize,
    pub(crate) batch_rows: NonZeroUsize,
    pub(crate) batch_bytes: usize,
    pub(crate) lock_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) sweep_every: Option<Duration>,
}

impl Default for PostgresConfig {
    /// Schema `idem`; two lanes of at most 256 rows or 4 MiB a statement, and two spare connections;
    /// half a second to wait for a lock or to be sent, and five seconds for a silent server; a sweep
    /// about once a minute.
    fn default() -> Self {
        Self {
            schema: Schema(Self::SCHEMA.to_owned()),
            protocol: Protocol::default(),
            lanes: const { NonZeroUsize::new(2).unwrap() },
            detours: const { NonZeroUsize::new(2).unwrap() },
            batch_rows: const { NonZeroUsize::new(256).unwrap() },
            batch_bytes: 4 << 20,
            lock_timeout: Duration::from_millis(500),
            send_timeout: Duration::from_millis(500),
            patience: Duration::from_secs(5),
            sweep_every: Some(Duration::from_secs(60)),
        }
    }
}

impl PostgresConfig {
    /// The default schema.
    pub const SCHEMA: &'static str = "idem";

    /// The schema that the tables live in. Every statement names it, so `search_path` plays no part.
    ///
    /// # Errors
    /// [`ConfigError`] when it is empty, longer than the 63 bytes that PostgreSQL keeps of a name,
    /// or has a NUL in it.
    pub fn schema(mut self, schema: impl Into<String>) -> Result<Self, ConfigError> {
        let schema = schema.into();
        if schema.is_empty() || schema.len() > 63 || schema.contains('\0') {
            return Err(ConfigError::Schema { len: schema.len() });
        }
        self.schema = Schema(schema);
        Ok(self)
    }

    /// How statements go to the server.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// How many statements this store has under way at once, each on a connection of the store's own.
    /// Answers of 64 KiB and more have one further connection, so that they hold up nobody else.
    ///
    /// Calls that come while all of them are busy travel together in the next one, so one or two
    /// do more than many.
    #[must_use]
    pub fn lanes(mut self, lanes: NonZeroUsize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many further connections the store may open: for calls that wait for a locked row, so
    /// that they hold up nobody else, for sweeping, and for listing.
    #[must_use]
    pub fn detours(mut self, detours: NonZeroUsize) -> Self {
        self.detours = detours;
        self
    }

    /// How many calls travel in one statement at most.
    #[must_use]
    pub fn batch_rows(mut self, rows: NonZeroUsize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// At how many bytes of payloads and checkpoints a statement is full. One that is larger by
    /// itself travels alone.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// How long a write waits for a row that somebody's open transaction holds. Whole
    /// milliseconds, at least one.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long a call may wait until it is sent: for a connection, and for a place in a statement.
    /// Past it the call is taken back and answers
    /// [`Unavailable`](idem_core::store::StoreErrorKind::Unavailable), since it is certain that nothing was
    /// applied. An engine asks again within its policy's `retry_budget`; code that calls the store
    /// without one does so itself, or sets this longer.
    ///
    /// It is reached where the server is away, and where it is so slow that calls wait for their turn
    /// for as long: then some are refused early instead of all late. Keep it below the policy's
    /// `call_timeout`, after which an outcome counts as unknown. That one is a quarter of the lease by
    /// default, so lower this for leases under two seconds.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// About how often a store that was made by [`connect`](crate::PostgresStore::connect) removes
    /// expired records, and `None` for never. At most one process at a time sweeps a table.
    #[must_use]
    pub fn sweep_every(mut self, period: Option<Duration>) -> Self {
        self.sweep_every = period;
        self
    }

    /// How long the server may keep silent about a statement before its connection is given up, and
    /// a second more for each megabyte that is sent;
    /// also how long to wait for a connection. Longer than the longest statement, and than
    /// [`lock_timeout`](Self::lock_timeout).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// How statements go to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// Named prepared statements: parsed and planned once per connection. They do not survive a
    /// pooler that hands each transaction to another session.
    #[default]
    Prepared,
    /// Plain text, one message per call and nothing left behind in the session: for poolers such
    /// as PgBouncer in transaction mode. Costs the server about twice the work.
    Simple,
}

/// The name of a schema, to be quoted wherever it is written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

impl Schema {
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// The name as an identifier.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// SQL that was written for the schema `idem`, for this one: also where it stands at the start
    /// of a string, as an argument of a function.
    pub(crate) fn apply(&self, sql: &str) -> String {
        let name = self.quoted();
        let in_string = name.replace('\\', "\\\\").replace('\'', "''");
        let mut parts = sql.split("idem.");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match out.strip_suffix('\'').map(str::len) {
                Some(before_quote) => {
                    out.truncate(before_quote);
                    out.push_str("E'");
                    out.push_str(&in_string);
                }
                None => out.push_str(&name),
            }
            out.push('.');
            out.push_str(part);
        }
        out
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A knob that cannot be set so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No name for a schema.
    #[error("a schema name has 1 to 63 bytes and no NUL; this one has {len} bytes")]
    Schema {
        /// Bytes it has.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_a_schema_name_is_quoted_and_cannot_leave_its_quotes() {
        let config = PostgresConfig::default()
            .schema("o'dd\"; DROP TABLE x; --")
            .unwrap();
        assert_eq!(
            config.schema.apply("SELECT 1 FROM idem.records"),
            "SELECT 1 FROM \"o'dd\"\"; DROP TABLE x; --\".records"
        );
        assert_eq!(
            config.schema.apply("f('idem.records')"),
            "f(E'\"o''dd\"\"; DROP TABLE x; --\".records')"
        );
    }

    #[test]
    fn s8_a_schema_name_that_looks_like_the_default_is_written_once() {
        let config = PostgresConfig::default().schema("idem.x").unwrap();
        assert_eq!(
            config.schema.apply("idem.t idem.u"),
            "\"idem.x\".t \"idem.x\".u"
        );
    }

    /// PostgreSQL removes nothing by itself.
    #[test]
    fn a_store_that_connects_sweeps_by_default() {
        assert!(PostgresConfig::default().sweep_every.is_some());
    }

    #[test]
    fn a_schema_name_has_a_length_that_postgres_keeps() {
        let len = |name: String| PostgresConfig::default().schema(name).map(drop);
        assert_eq!(len("s".repeat(63)), Ok(()));
        assert_eq!(len("s".repeat(64)), Err(ConfigError::Schema { len: 64 }));
        assert_eq!(len(String::new()), Err(ConfigError::Schema { len: 0 }));
        assert_eq!(len("a\0b".to_owned()), Err(ConfigError::Schema { len: 3 }));
    }
}
