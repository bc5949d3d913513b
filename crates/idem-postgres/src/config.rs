//! The knobs of a [`PostgresStore`](crate::PostgresStore).

use std::{fmt, time::Duration};

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
    pub(crate) lock_timeout: Duration,
}

impl Default for PostgresConfig {
    /// Schema `idem`, prepared statements, a second of patience with locks.
    fn default() -> Self {
        Self {
            schema: Schema(Self::SCHEMA.to_owned()),
            protocol: Protocol::default(),
            lock_timeout: Duration::from_secs(1),
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

    /// How long a write waits for a row that somebody's open transaction holds.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }
}

/// How statements go to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// Named prepared statements: parsed and planned once per connection.
    #[default]
    Prepared,
    /// Plain text, one message per call and nothing left behind in the session: for poolers that
    /// hand each transaction to another server connection (PgBouncer in transaction mode).
    Simple,
}

/// The name of a schema, to be quoted wherever it is written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

impl Schema {
    /// The name as an identifier.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// SQL that was written for the schema `idem`, for this one.
    pub(crate) fn apply(&self, sql: &str) -> String {
        sql.replace("idem.", &format!("{}.", self.quoted()))
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
