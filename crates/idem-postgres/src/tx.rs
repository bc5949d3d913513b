//! The transactional mode: the store's writes in a transaction of the user's.

use std::{borrow::Cow, error::Error, sync::Arc, time::Duration};

use idem_core::{
    Fingerprint, Idempotency, RecordKey,
    machine::Write,
    store::{Created, Record, StoreError, Stored, Updated, Version},
};
use idem_sql::{
    Stage,
    batch::{Answer, Job},
    tx::{Broken, TxStore, Waiters},
};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Row, Transaction, postgres::PgRow};

use crate::{
    PostgresStore,
    batch::row,
    call::{self, Argument, Scalar},
    error::{is_conflict, store_error},
    rows::{Columns, answer, fits, signed},
    session::Failure,
};

/// The transactional mode of a [`PostgresStore`]: the user's rows and the idempotency record commit
/// together, or not at all (G7).
///
/// ```no_run
/// use idem_core::{Fingerprint, Idempotency, IdempotencyKey, Scope};
/// use idem_postgres::{PostgresStore, TxError};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://app@db.example/app").await?;
/// let idem = Idempotency::builder(store.clone()).build()?;
/// let payments = store.transactional(&idem);
///
/// let key = Scope::new("merchant-7")?.key(&IdempotencyKey::new("order-4711")?);
/// let fingerprint = Fingerprint::of("payments/v1", b"500 usd");
/// let payment = payments
///     .once_in_tx(&key, &fingerprint, async |tx| {
///         let insert = sqlx::query("INSERT INTO payments (amount) VALUES (500)");
///         Ok::<_, sqlx::Error>(insert.execute(tx).await?.rows_affected())
///     })
///     .await?;
/// assert_eq!(payment.value, 1); // a repeat gets the same, with `replayed` true
/// # Ok(()) }
/// ```
pub type Transactional = idem_sql::tx::Transactional<PostgresStore>;

/// An answer that is stored in a transaction, and not yet committed.
pub type Completion = idem_sql::tx::Completion<PostgresStore>;

/// An open transaction, to be committed by whoever ends the execution that wrote in it.
pub type OpenTx = idem_sql::tx::OpenTx<PostgresStore>;

/// As for the store's own calls: each time somebody else's write went through.
const MAX_RACES: usize = 1000;

/// Says in the server's log why it was rolled back.
const ABORT: &str = "DO $$ BEGIN RAISE EXCEPTION \
    'idem-postgres: another execution owns the key, so this transaction may not commit'; END $$";

impl PostgresStore {
    /// The transactional mode of this store, under the policy of an engine over it.
    ///
    /// The engine has to be one over this very store (or a clone of it): a claim that another
    /// store has cannot be completed here, and is answered as superseded.
    #[must_use]
    pub fn transactional(&self, engine: &Idempotency) -> Transactional {
        Transactional::new(self.clone(), engine)
    }

    /// How many rows a statement changed.
    async fn execute_in_tx(
        &self,
        tx: &mut PgConnection,
        sql: &Arc<str>,
        arguments: &[Argument<'_>],
    ) -> Result<u64, Broken> {
        let dialect = self.sessions().dialect_in_tx();
        let executed = call::execute(tx, dialect, sql, arguments).await;
        executed.map_err(|error| broken(Failure::Sqlx(error)))
    }

    async fn send_in_tx(
        &self,
        tx: &mut PgConnection,
        sql: &Arc<str>,
        arguments: Vec<Argument<'_>>,
    ) -> Result<Vec<PgRow>, Broken> {
        let dialect = self.sessions().dialect_in_tx();
        let sent = call::call(tx, dialect, sql, &arguments).await;
        sent.map_err(|error| broken(Failure::Sqlx(error)))
    }

    /// The record of a key behind whoever holds it, in a transaction that is to be rolled back.
    async fn look_behind(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        claim: &Record,
        ttl: Duration,
    ) -> Result<Option<Stored>, Broken> {
        // Waits for a transaction that inserted the row, and then for one that updated it.
        let wait = self.lock_timeout();
        if let Created::New = self.create_in_tx(tx, key, claim, ttl, wait, false).await? {
            return Ok(None);
        }
        self.lock_in_tx(tx, key).await
    }
}

impl TxStore for PostgresStore {
    type Database = Postgres;
    type Turn = ();

    fn pool(&self) -> &PgPool {
        self.sessions().pool()
    }

    async fn begin(&self) -> Result<(Transaction<'static, Postgres>, ()), StoreError> {
        self.sessions().check_ledger().await?;
        let connection = self.sessions().acquire().await?;
        let begun = Transaction::begin(connection, None).await;
        let tx = begun.map_err(|error| store_error(error, Stage::Connecting))?;
        Ok((tx, ()))
    }

    async fn create_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        claim: &Record,
        ttl: Duration,
        wait: Duration,
        _begun: bool,
    ) -> Result<Created, Broken> {
        let sql = self.sessions().sql();
        // In the common case this is all: a part of the work of the whole statement.
        let columns = Columns::new(claim, ttl);
        let arguments = first_claim(key, columns);
        if self.execute_in_tx(tx, &sql.claim_in_tx, &arguments).await? > 0 {
            return Ok(Created::New);
        }
        let record = claim.clone();
        let job = Job::Create { record, ttl };
        for _ in 0..MAX_RACES {
            let mut arguments = bounded(key, &job, wait);
            let waits = Scalar::Int(Some(i64::from(!wait.is_zero())));
            arguments.extend([number(key), waits].map(Argument::One));
            let rows = self.send_in_tx(tx, &sql.create_in_tx, arguments);
            match only_answer(&rows.await?)? {
                Some(Answer::Done) => return Ok(Created::New),
                Some(Answer::Found(found)) => return Ok(Created::Exists(found)),
                None if wait.is_zero() => {
                    return Err(Broken::Contended(StoreError::unavailable(
                        "another transaction holds the key",
                    )));
                }
                None | Some(Answer::Expired) => {}
            }
        }
        Err(Broken::raced())
    }

    async fn update_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Updated, Broken> {
        let job = Job::Update {
            expected: write.expected,
            record: write.record.clone(),
            ttl,
        };
        let sql = self.sessions().sql();
        for _ in 0..MAX_RACES {
            let rows = self.send_in_tx(tx, &sql.update_in_tx, bounded(key, &job, wait));
            match only_answer(&rows.await?)? {
                Some(Answer::Done) => return Ok(Updated::Done),
                Some(Answer::Found(found)) if found.record.version == write.expected => {}
                Some(Answer::Expired) => {}
                Some(Answer::Found(found)) => return Ok(Updated::Conflict(Some(found))),
                None => return Ok(Updated::Conflict(None)),
            }
        }
        Err(Broken::raced())
    }

    /// Half the work of the whole statement.
    async fn end_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        own: bool,
    ) -> Result<Updated, Broken> {
        fits(&write.record).map_err(Broken::Failed)?;
        let columns = Columns::new(&write.record, ttl);
        let arguments = ending(key, &write.expected, &columns);
        let sql = self.sessions().sql();
        let sql = if own {
            &sql.end_own_in_tx
        } else {
            &sql.end_in_tx
        };
        match self.execute_in_tx(tx, sql, &arguments).await? {
            0 => {
                let wait = self.lock_timeout();
                self.update_in_tx(tx, key, write, ttl, wait).await
            }
            _ => Ok(Updated::Done),
        }
    }

    async fn lock_in_tx(
        &self,
        tx: &mut PgConnection,
        key: &RecordKey,
    ) -> Result<Option<Stored>, Broken> {
        let sql = &self.sessions().sql().lock;
        let arguments = bounded(key, &Job::Get, self.lock_timeout());
        let rows = self.send_in_tx(tx, sql, arguments).await?;
        match only_answer(&rows)? {
            Some(Answer::Found(found)) => Ok(Some(found)),
            Some(Answer::Done | Answer::Expired) | None => Ok(None),
        }
    }

    /// On a connection of the store's own.
    async fn settled(
        &self,
        key: &RecordKey,
        claim: &Record,
        ttl: Duration,
    ) -> Result<Option<Stored>, StoreError> {
        let mut connection = self.sessions().own().spare().await?;
        let Some(mut own) = connection.take() else {
            return Err(StoreError::unavailable("the connection was lost"));
        };
        let begin = own.0.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
        let begun = begin.await;
        let mut tx = begun.map_err(|error| store_error(error, Stage::Connecting))?;
        let found = self.look_behind(&mut tx, key, claim, ttl).await;
        // What is not rolled back now is rolled back with its connection.
        if tx.rollback().await.is_ok() {
            connection.put(own);
        }
        found.map_err(Broken::into_store_error)
    }

    /// At READ COMMITTED. At a stricter level the transaction could not complete a record that changed
    /// under it.
    async fn renews_in_tx(&self, tx: &mut PgConnection) -> Result<bool, StoreError> {
        let row = sqlx::raw_sql("SHOW transaction_isolation")
            .fetch_one(tx)
            .await
            .and_then(|row| row.try_get::<String, _>(0));
        let level = row.map_err(|error| store_error(error, Stage::Connecting))?;
        Ok(matches!(&*level, "read committed" | "read uncommitted"))
    }

    async fn is_sound(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("SELECT 1").execute(tx).await.map(drop)
    }

    async fn forbid_commit(&self, tx: &mut PgConnection) {
        let _ = sqlx::raw_sql(ABORT).execute(tx).await;
    }

    fn store_error(error: sqlx::Error, stage: Stage) -> StoreError {
        store_error(error, stage)
    }

    fn is_refusal(error: &sqlx::Error) -> bool {
        Failure::is_refusal(error)
    }

    fn is_conflict(error: &(dyn Error + 'static)) -> bool {
        is_conflict(error)
    }

    fn lock_timeout(&self) -> Duration {
        self.sessions().config().lock_timeout
    }

    fn commit_timeout(&self) -> Duration {
        self.sessions().config().patience
    }

    fn waiters(&self) -> Option<&Arc<Waiters>> {
        Some(self.places())
    }
}

/// What a failure says of the transaction: without its commit nothing of it is there.
fn broken(failure: Failure) -> Broken {
    let code = failure.refusal().map(Cow::into_owned);
    let error = failure.into_store_error(Stage::Connecting);
    match code.as_deref() {
        Some("40001" | "40P01") => Broken::Conflict(error),
        Some("55P03") => Broken::Contended(error),
        _ => Broken::Failed(error),
    }
}

/// The arguments of a statement that waits so long for a lock, and for a millisecond at least.
fn bounded<'a>(key: &'a RecordKey, job: &'a Job, wait: Duration) -> Vec<Argument<'a>> {
    let mut arguments = arguments(key, job);
    arguments.push(Argument::lock_timeout(wait));
    arguments
}

fn arguments<'a>(key: &'a RecordKey, job: &'a Job) -> Vec<Argument<'a>> {
    row(job, key).into_iter().map(Argument::One).collect()
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
    said.map_err(Broken::Failed)
}
