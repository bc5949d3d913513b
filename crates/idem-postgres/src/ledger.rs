//! Which migrations a schema has had, and whether this release may write to its tables.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use idem_core::store::StoreError;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::Instant;

use crate::{config::Schema, migrate::STEPS};

/// How often a process looks whether a newer release has changed the tables meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The ledger of one schema, and when it was last seen to be one of this release's.
pub(crate) struct Ledger {
    sql: String,
    known: Mutex<Option<Instant>>,
}

impl Ledger {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            sql: schema.apply("SELECT coalesce(max(version), 0)::text FROM idem.migrations"),
            known: Mutex::new(None),
        }
    }

    /// Whether it was looked at a moment ago.
    pub(crate) fn is_known(&self) -> bool {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|at| at.elapsed() < LOOK_EVERY)
    }

    /// Looks at the ledger, unless that was done a moment ago.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) when it is of a newer release: an older one must
    /// not write to tables that it does not know. A ledger that cannot be read is no error: the
    /// statement that follows says what is wrong.
    pub(crate) async fn check(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.is_known() {
            return Ok(());
        }
        if let Ok(taken) = self.taken(connection).await {
            refuse_newer(taken)?;
            self.note();
        }
        Ok(())
    }

    /// Notes that it is of this release or an older one.
    pub(crate) fn note(&self) {
        let now = Some(Instant::now());
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    async fn taken(&self, connection: &mut PgConnection) -> Result<usize, sqlx::Error> {
        // Safe: the crate's own text, with the schema's name quoted.
        let row = sqlx::raw_sql(AssertSqlSafe(self.sql.clone()))
            .fetch_one(connection)
            .await?;
        let taken: String = row.try_get(0)?;
        taken
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))
    }
}

/// Refuses a ledger that has had more steps than this release knows.
pub(crate) fn refuse_newer(taken: usize) -> Result<(), StoreError> {
    if taken <= STEPS.len() {
        return Ok(());
    }
    Err(StoreError::config(format!(
        "the tables are at version {taken} and this release knows {}: upgrade it",
        STEPS.len()
    )))
}
