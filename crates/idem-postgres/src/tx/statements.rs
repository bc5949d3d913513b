//! The store's writes on a connection that is in a transaction.

use std::{borrow::Cow, sync::Arc, time::Duration};

use idem_core::{
    Fingerprint, RecordKey,
    machine::{Held, Holding, Op, Reply, Write},
    store::{Created, Record, State, StoreError, Stored, Updated, Version},
};
use sqlx::{PgConnection, postgres::PgRow};

use super::Transactional;
use crate::{
    batch::Job,
    call::{self, Argument, Scalar},
    error::Stage,
    rows::{Answer, Columns, answer, fits, signed},
    session::Failure,
};

/// As for the store's own calls: each time somebody else's write went through.
const MAX_RACES: usize = 1000;

/// Operations of the machine for one wish: each time somebody else's write went through.
pub(super) const MAX_ROUNDS: usize = 1000;

/// A statement in a transaction that failed, and the transaction with it.
#[derive(Debug)]
pub(super) enum Broken {
    Failed(Failure),
    /// Another transaction holds the key, and goes on.
    Contended,
}

impl Broken {
    /// Whether the whole transaction may be tried again at once.
    pub(super) fn is_serialization(&self) -> bool {
        matches!(self.refusal().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether another transaction held the key for longer than was to be waited.
    pub(super) fn is_contended(&self) -> bool {
        matches!(self, Self::Contended) || self.refusal().as_deref() == Some("55P03")
    }

    fn refusal(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Failed(failure) => failure.refusal(),
            Self::Contended => None,
        }
    }

    /// What it says of the transaction: without its commit nothing of it is there.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Failed(failure) => failure.into_store_error(Stage::Connecting),
            Self::Contended => StoreError::unavailable("another transaction holds the key"),
        }
    }
}

impl Transactional {
    /// Performs an operation of a claim, waiting no longer than this for another transaction that
    /// holds the key.
    pub(super) async fn perform_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        op: Op<'_>,
        wait: Duration,
    ) -> Result<Reply, Broken> {
        Ok(match op {
            Op::Create(record) => self.create_in_tx(tx, key, record, wait).await?.into(),
            Op::Update(write) => self.update_in_tx(tx, key, write, wait).await?.into(),
            Op::Delete(_) | Op::Get | Op::Probe(_) => {
                unreachable!("a claim in a transaction creates and updates")
            }
        })
    }

    /// Drives a holding that wants to end. `own` says that this transaction holds the row already.
    pub(super) async fn end_holding(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        holding: &mut Holding,
        own: bool,
    ) -> Result<Held, Broken> {
        for _ in 0..MAX_ROUNDS {
            let Some(Op::Update(write)) = holding.next() else {
                break;
            };
            let reply = self.end_in_tx(tx, key, write, own).await?.into();
            match holding.on_reply(reply) {
                Held::Again | Held::Later | Held::Kept => {}
                held => return Ok(held),
            }
        }
        Err(raced())
    }

    /// [`Store::create`](idem_core::store::Store::create) of the first claim of a key, waiting no longer
    /// than this for another transaction that holds it.
    pub(super) async fn create_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        claim: &Record,
        wait: Duration,
    ) -> Result<Created, Broken> {
        let ttl = self.ttl(&claim.state);
        let sql = self.store.sessions().sql();
        // In the common case this is all: a part of the work of the whole statement.
        let columns = Columns::new(claim, ttl);
        let arguments = first_claim(key, columns);
        if self.execute(tx, &sql.claim_in_tx, &arguments).await? > 0 {
            return Ok(Created::New);
        }
        let record = claim.clone();
        let job = Job::Create { record, ttl };
        for _ in 0..MAX_RACES {
            let mut arguments = bounded(key, &job, wait);
            let waits = Scalar::Int(Some(i64::from(!wait.is_zero())));
            arguments.extend([number(key), waits].map(Argument::One));
            let rows = self.send(tx, &sql.create_in_tx, arguments);
            match only_answer(&rows.await?)? {
                Some(Answer::Done) => return Ok(Created::New),
                Some(Answer::Found(found)) => return Ok(Created::Exists(found)),
                None if wait.is_zero() => return Err(Broken::Contended),
                None | Some(Answer::Expired) => {}
            }
        }
        Err(raced())
    }

    /// [`Store::update`](idem_core::store::Store::update) likewise.
    pub(super) async fn update_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        write: &Write,
        wait: Duration,
    ) -> Result<Updated, Broken> {
        let job = self.update_job(write);
        let sql = self.store.sessions().sql();
        for _ in 0..MAX_RACES {
            let rows = self.send(tx, &sql.update_in_tx, bounded(key, &job, wait));
            match only_answer(&rows.await?)? {
                Some(Answer::Done) => return Ok(Updated::Done),
                Some(Answer::Found(found)) if found.record.version == write.expected => {}
                Some(Answer::Expired) => {}
                Some(Answer::Found(found)) => return Ok(Updated::Conflict(Some(found))),
                None => return Ok(Updated::Conflict(None)),
            }
        }
        Err(raced())
    }

    /// [`update_in_tx`](Self::update_in_tx) for a holder's ending, which nobody else is about to
    /// get in the way of: half the work of the whole statement. `own` says that this transaction
    /// holds the row already.
    pub(super) async fn end_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        write: &Write,
        own: bool,
    ) -> Result<Updated, Broken> {
        fits(&write.record).map_err(|error| Broken::Failed(Failure::Unsent(error)))?;
        let columns = Columns::new(&write.record, self.ttl(&write.record.state));
        let arguments = ending(key, &write.expected, &columns);
        let sql = self.store.sessions().sql();
        let sql = if own {
            &sql.end_own_in_tx
        } else {
            &sql.end_in_tx
        };
        match self.execute(tx, sql, &arguments).await? {
            0 => self.update_in_tx(tx, key, write, self.lock_timeout()).await,
            _ => Ok(Updated::Done),
        }
    }

    /// The record of a key, which stays as it is until this transaction ends.
    pub(super) async fn lock_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
    ) -> Result<Option<Stored>, Broken> {
        let sql = &self.store.sessions().sql().lock;
        let rows = self
            .send(tx, sql, bounded(key, &Job::Get, self.lock_timeout()))
            .await?;
        match only_answer(&rows)? {
            Some(Answer::Found(found)) => Ok(Some(found)),
            Some(Answer::Done | Answer::Expired) | None => Ok(None),
        }
    }

    /// How many rows a statement changed.
    async fn execute(
        &self,
        tx: &mut PgConnection,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<u64, Broken> {
        let dialect = self.store.sessions().dialect_in_tx();
        let executed = call::execute(tx, dialect, sql, arguments).await;
        executed.map_err(|error| Broken::Failed(Failure::Sqlx(error)))
    }

    async fn send(
        &self,
        tx: &mut PgConnection,
        sql: &Arc<str>,
        arguments: Vec<Argument<'_>>,
    ) -> Result<Vec<PgRow>, Broken> {
        let dialect = self.store.sessions().dialect_in_tx();
        let sent = call::call(tx, dialect, sql, &arguments).await;
        sent.map_err(|error| Broken::Failed(Failure::Sqlx(error)))
    }

    /// How long to wait for a lock, as the configuration says.
    pub(super) fn lock_timeout(&self) -> Duration {
        self.store.sessions().config().lock_timeout
    }

    fn update_job(&self, write: &Write) -> Job {
        Job::Update {
            expected: write.expected,
            record: write.record.clone(),
            ttl: self.ttl(&write.record.state),
        }
    }

    pub(super) fn ttl(&self, state: &State) -> Duration {
        self.engine.ttl(state)
    }

    pub(super) fn retention(&self) -> Duration {
        self.engine.policy().retention_time()
    }
}

/// The arguments of a statement that waits so long for a lock, and for a millisecond at least.
fn bounded<'a>(key: &'a RecordKey, job: &'a Job, wait: Duration) -> Vec<Argument<'a>> {
    let mut arguments = arguments(key, job);
    arguments.push(Argument::lock_timeout(wait));
    arguments
}

fn arguments<'a>(key: &'a RecordKey, job: &'a Job) -> Vec<Argument<'a>> {
    job.row(key).into_iter().map(Argument::One).collect()
}

/// A claim that has no checkpoint and no answer yet.
fn first_claim<'a>(key: &'a RecordKey, columns: Columns<'a>) -> Vec<Argument<'a>> {
    let place = [Scalar::Text(key.scope()), Scalar::Text(key.key())];
    let scalars = place.into_iter().chain(columns.claim());
    let numbered = scalars.chain([number(key)]);
    numbered.map(Argument::One).collect()
}

/// The number of a key among the advisory locks of its database. Two keys of one number wait for
/// each other, and that is all.
fn number(key: &RecordKey) -> Scalar<'static> {
    let hash = Fingerprint::of("idem-postgres/lock/v1", key.as_str().as_bytes());
    let (number, _) = hash
        .as_bytes()
        .split_first_chunk()
        .expect("a hash has 32 bytes");
    Scalar::Int(Some(i64::from_le_bytes(*number)))
}

fn ending<'a>(
    key: &'a RecordKey,
    expected: &'a Version,
    columns: &Columns<'a>,
) -> [Argument<'a>; 9] {
    [
        Scalar::Text(key.scope()),
        Scalar::Text(key.key()),
        Scalar::Bytes(Some(expected.token.as_bytes())),
        Scalar::Int(Some(signed(expected.revision))),
        Scalar::Text(columns.status),
        Scalar::Int(Some(columns.revision)),
        Scalar::Bytes(columns.checkpoint),
        Scalar::Bytes(columns.payload),
        Scalar::Int(Some(columns.ttl_ms)),
    ]
    .map(Argument::One)
}

/// The answer, beside a row 0 that took the guard away.
fn only_answer(rows: &[PgRow]) -> Result<Option<Answer>, Broken> {
    let mut answers = rows.iter().map(answer).filter(|(n, _)| *n == 1);
    let said = answers.next().map(|(_, said)| said).transpose();
    said.map_err(|error| Broken::Failed(Failure::Unreadable(error)))
}

pub(super) fn raced() -> Broken {
    Broken::Failed(Failure::Unreadable(StoreError::unavailable(
        "the statement raced with others without end",
    )))
}
