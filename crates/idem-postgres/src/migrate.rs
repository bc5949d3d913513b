//! Making and upgrading the tables.
//!
//! Not by sqlx's migrator: it holds a lock of the *session*, which a pooler in transaction mode
//! does not keep, and its bookkeeping goes by `search_path`. Here all of it is one transaction
//! under one transaction-level lock.

use idem_core::store::StoreError;
use idem_sql::Stage;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{PostgresStore, config::Schema, error::store_error, literal, session::Sessions};

/// The steps, in order. One that was released never changes: it is followed by another.
pub(crate) const STEPS: &[&str] = &[include_str!("../migrations/0001_records.sql")];

/// Where the steps that were taken are noted.
const LEDGER: &str = "CREATE TABLE IF NOT EXISTS idem.migrations (\
    version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())";

/// At a stricter level, whoever waited for another migrator would be told to try again.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl PostgresStore {
    /// Makes the schema and its tables, or brings them up to date.
    ///
    /// Does nothing, and needs no rights, when they are. Any number of processes may do this at
    /// once: one does it, the others wait for that one.
    ///
    /// # Errors
    /// As for any store call; nothing is left half-done. [`Config`](idem_core::store::StoreErrorKind) when
    /// the role may not create tables, and when the tables are of a newer release than this. Calls
    /// of an older release that still runs are refused likewise, within a minute.
    ///
    /// # Cancel safety
    /// Dropping the future rolls back what was not committed.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let sessions = self.sessions();
        let schema = &sessions.config().schema;
        let mut connection = sessions.own().spare().await?;
        let Some(mut own) = connection.take() else {
            return Err(StoreError::unavailable("the connection was lost"));
        };
        if sessions.version(&mut own.0).await? < STEPS.len() {
            upgrade(&mut own.0, schema)
                .await
                .map_err(|error| store_error(error, Stage::Sent))?;
        }
        connection.put(own);
        sessions.ledger().note();
        Ok(())
    }

    /// What [`migrate`](Self::migrate) does, as SQL that can be applied any number of times: for
    /// those who run their migrations by other means.
    #[must_use]
    pub fn migration_sql(&self) -> String {
        let schema = &self.sessions().config().schema;
        let mut sql = format!(
            "{BEGIN};\n\n{};\n\n{};\n{};\n\n{};\n",
            lock(schema),
            schemas_of_that_name(schema),
            create_schema(schema),
            schema.apply(LEDGER)
        );
        for (index, step) in STEPS.iter().enumerate() {
            sql.push('\n');
            sql.push_str(&schema.apply(step));
            sql.push_str(&format!("\n{};\n", note(schema, index + 1)));
        }
        sql.push_str("\nCOMMIT;\n");
        sql
    }
}

impl Sessions {
    /// How many steps were taken; none when there is no schema or it is not ours to look at.
    async fn version(&self, connection: &mut PgConnection) -> Result<usize, StoreError> {
        let taken = match applied(connection, &self.config().schema).await {
            Ok(taken) => taken,
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("42P01" | "3F000")) =>
            {
                0
            }
            Err(error) => return Err(store_error(error, Stage::Sent)),
        };
        self.ledger().refuse_newer(taken)?;
        Ok(taken)
    }
}

/// The number of the latest step that was taken.
pub(crate) async fn applied(
    connection: &mut PgConnection,
    schema: &Schema,
) -> Result<usize, sqlx::Error> {
    let sql = schema.apply("SELECT coalesce(max(version), 0)::text FROM idem.migrations");
    number(connection, sql).await
}

async fn upgrade(connection: &mut PgConnection, schema: &Schema) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin_with(BEGIN).await?;
    // Whoever comes second waits for the first, however long the database lets others wait.
    run(&mut tx, PATIENT.to_owned()).await?;
    run(&mut tx, lock(schema)).await?;
    if number(&mut tx, schemas_of_that_name(schema)).await? == 0 {
        run(&mut tx, create_schema(schema)).await?;
    }
    run(&mut tx, schema.apply(LEDGER)).await?;
    let taken = applied(&mut tx, schema).await?;
    for (index, step) in STEPS.iter().enumerate().skip(taken) {
        run(&mut tx, schema.apply(step)).await?;
        run(&mut tx, note(schema, index + 1)).await?;
    }
    tx.commit().await
}

const PATIENT: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";

/// The only answer of a query.
async fn number(connection: &mut PgConnection, sql: String) -> Result<usize, sqlx::Error> {
    // Safe: as in `run`.
    let row = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await?;
    let number: String = sqlx::Row::try_get(&row, 0)?;
    number
        .parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    // Safe: the crate's own text, with the schema's name quoted.
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

/// Asks the catalogue itself, which answers with what is committed. `IF NOT EXISTS` goes by what
/// the session remembers, and that is not looked over after waiting for an advisory lock: a session
/// that once found no such schema would make it a second time. It is looked over by this query, for
/// the statements that follow.
fn schemas_of_that_name(schema: &Schema) -> String {
    format!(
        "SELECT count(*)::text FROM pg_catalog.pg_namespace WHERE nspname = {}",
        literal::text(schema.name())
    )
}

fn create_schema(schema: &Schema) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted())
}

fn note(schema: &Schema, version: usize) -> String {
    schema.apply(&format!(
        "INSERT INTO idem.migrations (version) VALUES ({version}) ON CONFLICT DO NOTHING"
    ))
}

/// Until the transaction ends, no other migrator of this schema gets further than this.
fn lock(schema: &Schema) -> String {
    let name = literal::text(&format!("idem-postgres migrations {}", schema.quoted()));
    format!("SELECT pg_advisory_xact_lock(hashtextextended({name}, 0))")
}
