//! The transactional mode: the store's writes in a transaction of the user's.
//!
//! A transaction that writes holds the only write lock of the file, so nobody can be in its way, and
//! it *is* the claim. What can go wrong is that it is over already: after some errors (a full disk,
//! say) SQLite rolls a transaction back by itself, and the next statement would commit alone. So the
//! store's statements look first whether there still is one (G7).

use std::{error::Error, time::Duration};

use idem_core::{
    Idempotency, RecordKey,
    machine::Write,
    store::{Created, Record, StoreError, StoreErrorKind, Stored, Updated},
};
use idem_sql::{
    Stage,
    batch::{self, Answer},
    row::{Row, version},
    tx::{Broken, Conn, Tx, TxStore},
};
use sqlx::{SqlSafeStr, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::time::timeout;

use crate::{
    SqliteStore,
    error::{is_conflict, primary_code, store_error},
    files::{Turn, run},
    read::find,
    store::fits,
};

/// The transactional mode of a [`SqliteStore`]: the user's rows and the idempotency record commit
/// together, or not at all (G7).
///
/// **While such a transaction is open, nobody else writes to the file**: no claim of any key, no
/// renewal, no answer, in this process or another; they wait for the
/// [`busy_timeout`](crate::SqliteConfig::busy_timeout) at most. So do no slow work in it. One of
/// [`once_in_tx`](Self::once_in_tx) or [`execute_in_tx`](Self::execute_in_tx) is rolled back after the
/// [`transaction_limit`](crate::SqliteConfig::transaction_limit), a third of the lease at most
/// ([`TxError::TooLong`](crate::TxError::TooLong)); a single statement is not interrupted by that. A
/// transaction of the application's own has no such limit: keep it as short.
///
/// ```no_run
/// use idem_core::{Fingerprint, Idempotency, IdempotencyKey, Scope};
/// use idem_sqlite::{SqliteStore, TxError};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::connect("sqlite:payments.db").await?;
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
pub type Transactional = idem_sql::tx::Transactional<SqliteStore>;

/// An answer that is stored in a transaction, and not yet committed.
pub type Completion = idem_sql::tx::Completion<SqliteStore>;

/// An open transaction, to be committed by whoever ends the execution that wrote in it.
pub type OpenTx = idem_sql::tx::OpenTx<SqliteStore>;

/// How long a commit may take before its outcome is asked for.
const COMMIT: Duration = Duration::from_secs(5);

const CREATE: &str = "INSERT INTO idem_records \
    (key, scope, version, updated_at, expires_at, status, body) VALUES (?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (key, scope) DO UPDATE SET version = excluded.version, \
    updated_at = excluded.updated_at, expires_at = excluded.expires_at, \
    status = excluded.status, body = excluded.body \
    WHERE idem_records.expires_at <= excluded.updated_at";

const UPDATE: &str = "UPDATE idem_records SET version = ?3, updated_at = ?4, expires_at = ?5, \
    status = ?6, body = ?7 \
    WHERE key = ?1 AND scope = ?2 AND version = ?8 AND expires_at > ?4";

/// Takes the write lock, and changes nothing.
const TAKE_LOCK: &str = "DELETE FROM idem_sweeper WHERE FALSE";

impl SqliteStore {
    /// The transactional mode of this store, under the policy of an engine over it.
    ///
    /// The engine has to be one over this very store (or a clone of it): a claim that another
    /// store has cannot be completed here, and is answered as superseded.
    #[must_use]
    pub fn transactional(&self, engine: &Idempotency) -> Transactional {
        Transactional::new(self.clone(), engine)
    }

    async fn find_in_tx(
        &self,
        tx: &mut SqliteConnection,
        key: &RecordKey,
    ) -> Result<Option<Stored>, Broken> {
        let now = self.file().clock().now_ms();
        let found = find(tx, self.file().sql(), &[key]).await.map_err(broken)?;
        match found.first().map(|found| found.answer(now)) {
            Some(answer) => match answer.map_err(Broken::Failed)? {
                Answer::Found(stored) => Ok(Some(stored)),
                // The lock is held: nobody is about to update it.
                Answer::Expired | Answer::Done => Ok(None),
            },
            None => Ok(None),
        }
    }

    async fn replace_in_tx(
        &self,
        tx: &mut SqliteConnection,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        own: bool,
    ) -> Result<Updated, Broken> {
        fits(&write.record).map_err(Broken::Failed)?;
        match own {
            // Whoever wrote the row has the lock.
            true => must_be_open(tx).await?,
            false => take_lock(tx).await?,
        }
        let now = self.file().clock().now_ms();
        let row = Row::new(&write.record, ttl);
        let query = sqlx::query(UPDATE)
            .bind(key.key())
            .bind(key.scope())
            .bind(&*row.version)
            .bind(now)
            .bind(now.saturating_add(row.ttl_ms))
            .bind(row.status)
            .bind(&row.body[..])
            .bind(version(write.expected).to_vec());
        let done = query.execute(&mut *tx).await.map_err(broken)?;
        match done.rows_affected() {
            0 => Ok(Updated::Conflict(self.find_in_tx(tx, key).await?)),
            _ => Ok(Updated::Done),
        }
    }
}

impl TxStore for SqliteStore {
    type Database = Sqlite;
    type Turn = Turn;

    fn pool(&self) -> &SqlitePool {
        self.file().pool()
    }

    /// With the turn first: whoever waits has no connection of the pool.
    async fn begin(&self) -> Result<(Tx<'static, Self>, Turn), StoreError> {
        let limit = self.file().config().transaction_limit;
        let limit = limit.max(self.file().config().busy_timeout);
        let turn = timeout(limit, self.file().turn()).await.map_err(|_| {
            StoreError::unavailable(format!(
                "other transactions of this process held the write lock for {limit:?}"
            ))
        })?;
        let connecting = |error| store_error(error, Stage::Connecting);
        let connection = self.pool().acquire().await.map_err(connecting)?;
        let begin = "BEGIN IMMEDIATE".into_sql_str();
        let tx = Transaction::begin(connection, Some(begin)).await;
        let mut tx = tx.map_err(connecting)?;
        self.file().check_ledger(&mut tx).await?;
        Ok((tx, turn))
    }

    async fn create_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
        claim: &Record,
        ttl: Duration,
        _wait: Duration,
        begun: bool,
    ) -> Result<Created, Broken> {
        if !begun {
            take_lock(tx).await?;
        }
        let now = self.file().clock().now_ms();
        let row = Row::new(claim, ttl);
        let query = sqlx::query(CREATE)
            .bind(key.key())
            .bind(key.scope())
            .bind(&*row.version)
            .bind(now)
            .bind(now.saturating_add(row.ttl_ms))
            .bind(row.status)
            .bind(&row.body[..]);
        let done = query.execute(&mut *tx).await.map_err(broken)?;
        if done.rows_affected() > 0 {
            return Ok(Created::New);
        }
        match self.find_in_tx(tx, key).await? {
            Some(found) => Ok(Created::Exists(found)),
            None => Err(Broken::raced()),
        }
    }

    async fn update_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        _wait: Duration,
    ) -> Result<Updated, Broken> {
        self.replace_in_tx(tx, key, write, ttl, false).await
    }

    async fn end_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        own: bool,
    ) -> Result<Updated, Broken> {
        self.replace_in_tx(tx, key, write, ttl, own).await
    }

    async fn lock_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
    ) -> Result<Option<Stored>, Broken> {
        take_lock(tx).await?;
        self.find_in_tx(tx, key).await
    }

    /// Behind the write lock, which a transaction under way holds.
    async fn settled(
        &self,
        key: &RecordKey,
        _claim: &Record,
        _ttl: Duration,
    ) -> Result<Option<Stored>, StoreError> {
        batch::got(self.behind_writes(key).await)
    }

    /// Never: a renewal would need the write lock that this transaction holds.
    async fn renews_in_tx(&self, _tx: &mut Conn<Self>) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn is_sound(&self, tx: &mut Conn<Self>) -> Result<(), sqlx::Error> {
        match still_open(tx).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(sqlx::Error::BeginFailed),
            Err(error) => Err(error),
        }
    }

    /// Ends it. SQLite then refuses the commit, for there is nothing to be committed.
    async fn forbid_commit(&self, tx: &mut Conn<Self>) {
        let _ = run(tx, "ROLLBACK").await;
    }

    fn store_error(error: sqlx::Error, stage: Stage) -> StoreError {
        store_error(error, stage)
    }

    /// Everything but an error of the disk, after which the commit may be there or not.
    fn is_refusal(error: &sqlx::Error) -> bool {
        primary_code(error).is_some_and(|code| code != 10)
    }

    fn is_conflict(error: &(dyn Error + 'static)) -> bool {
        is_conflict(error)
    }

    fn lock_timeout(&self) -> Duration {
        self.file().config().busy_timeout
    }

    fn commit_timeout(&self) -> Duration {
        COMMIT
    }

    fn transaction_limit(&self, lease: Duration) -> Option<Duration> {
        Some(self.file().config().transaction_limit.min(lease / 3))
    }
}

/// Takes the write lock for a transaction that may not have it, and refuses a connection that is in
/// no transaction.
async fn take_lock(tx: &mut SqliteConnection) -> Result<(), Broken> {
    must_be_open(tx).await?;
    run(tx, TAKE_LOCK).await.map_err(broken)
}

/// Refuses a connection that is in no transaction.
async fn must_be_open(tx: &mut SqliteConnection) -> Result<(), Broken> {
    match still_open(tx).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Broken::Failed(StoreError::unavailable(
            "there is no transaction: SQLite has rolled it back after an error, or none was begun",
        ))),
        Err(error) => Err(broken(error)),
    }
}

/// Whether the connection is in a transaction. SQLite has no statement that says so; one that begins
/// another is refused, and changes nothing.
async fn still_open(tx: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    match run(tx, "BEGIN").await {
        Err(error) if primary_code(&error) == Some(1) => Ok(true),
        Err(error) => Err(error),
        Ok(()) => {
            run(tx, "ROLLBACK").await?;
            Ok(false)
        }
    }
}

fn broken(error: sqlx::Error) -> Broken {
    let conflicts = is_conflict(&error);
    let error = store_error(error, Stage::Connecting);
    debug_assert_ne!(error.kind(), StoreErrorKind::Unknown);
    match conflicts {
        true => Broken::Conflict(error),
        false => Broken::Failed(error),
    }
}
