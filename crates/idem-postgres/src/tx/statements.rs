//! The store's writes on a connection that is in a transaction.

use std::time::Duration;

use idem_core::{
    Created, Record, RecordKey, State, StoreError, Stored, Updated, machine, machine::Write,
};
use sqlx::PgConnection;

use super::Transactional;
use crate::{
    batch::Job,
    call::{self, Argument, Scalar},
    rows::{Answer, answer},
    session::Failure,
};

/// As for the store's own calls: each time somebody else's write went through.
const MAX_RACES: usize = 1000;

/// A statement in a transaction that failed, and the transaction with it.
#[derive(Debug)]
pub(super) struct Broken(pub(super) Failure);

impl Broken {
    /// Whether the whole transaction may be tried again at once.
    pub(super) fn is_serialization(&self) -> bool {
        matches!(self.0.refusal().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether somebody held the row for too long.
    pub(super) fn is_lock_timeout(&self) -> bool {
        self.0.refusal().as_deref() == Some("55P03")
    }

    /// What it says of the transaction: without its commit nothing of it is there.
    pub(super) fn into_store_error(self) -> StoreError {
        self.0.into_store_error(crate::error::Stage::Connecting)
    }
}

impl Transactional {
    /// [`Store::create`](idem_core::Store::create), waiting for the row no longer than the
    /// configuration says.
    pub(super) async fn create_in_tx(
        &self,
        connection: &mut PgConnection,
        key: &RecordKey,
        record: &Record,
    ) -> Result<Created, Broken> {
        let job = Job::Create {
            record: record.clone(),
            ttl: self.ttl(&record.state),
        };
        for _ in 0..MAX_RACES {
            match self.ask_in_tx(connection, key, &job).await? {
                Some(Answer::Done) => return Ok(Created::New),
                Some(Answer::Found(found)) => return Ok(Created::Exists(found)),
                None => {}
            }
        }
        Err(raced())
    }

    /// [`Store::update`](idem_core::Store::update) likewise.
    pub(super) async fn update_in_tx(
        &self,
        connection: &mut PgConnection,
        key: &RecordKey,
        write: &Write,
    ) -> Result<Updated, Broken> {
        let job = Job::Update {
            expected: write.expected,
            record: write.record.clone(),
            ttl: self.ttl(&write.record.state),
        };
        for _ in 0..MAX_RACES {
            match self.ask_in_tx(connection, key, &job).await? {
                Some(Answer::Done) => return Ok(Updated::Done),
                Some(Answer::Found(found)) if found.record.version == write.expected => {}
                Some(Answer::Found(found)) => return Ok(Updated::Conflict(Some(found))),
                None => return Ok(Updated::Conflict(None)),
            }
        }
        Err(raced())
    }

    /// The record of a key, which stays as it is until this transaction ends.
    pub(super) async fn lock_in_tx(
        &self,
        connection: &mut PgConnection,
        key: &RecordKey,
    ) -> Result<Option<Stored>, Broken> {
        match self.ask_in_tx(connection, key, &Job::Get).await? {
            Some(Answer::Found(found)) => Ok(Some(found)),
            Some(Answer::Done) | None => Ok(None),
        }
    }

    async fn ask_in_tx(
        &self,
        connection: &mut PgConnection,
        key: &RecordKey,
        job: &Job,
    ) -> Result<Option<Answer>, Broken> {
        let sessions = self.store.sessions();
        let sql = sessions.sql();
        let sql = match job {
            Job::Create { .. } => &sql.create_in_tx,
            Job::Update { .. } => &sql.update_in_tx,
            Job::Get | Job::Delete { .. } => &sql.lock,
        };
        let mut arguments: Vec<_> = job.row(key).into_iter().map(Argument::One).collect();
        let timeout = millis(sessions.config().lock_timeout);
        arguments.push(Argument::One(Scalar::Int(Some(timeout))));
        let rows = call::call(connection, sessions.dialect_in_tx(), sql, &arguments)
            .await
            .map_err(|error| Broken(Failure::Sqlx(error)))?;
        let answers = rows.iter().map(answer);
        // Row 0 puts the session's own bound on waiting back.
        let mut answers = answers.filter(|(n, _)| *n == 1).map(|(_, said)| said);
        answers
            .next()
            .transpose()
            .map_err(|error| Broken(Failure::Unreadable(error)))
    }

    pub(super) fn ttl(&self, state: &State) -> Duration {
        machine::ttl(state, self.engine.policy().retention_time())
    }
}

fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis())
        .unwrap_or(i64::MAX)
        .max(1)
}

fn raced() -> Broken {
    Broken(Failure::Unreadable(StoreError::unavailable(
        "the statement raced with others without end",
    )))
}
