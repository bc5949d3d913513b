//! The transactional mode: the store's writes in a transaction of the user's.
//!
//! A row that a transaction has written to is locked until it ends, so whoever claims the same key
//! waits. What can go wrong is that the transaction is over already: to end a deadlock the server rolls
//! one back by itself, and the next statement would commit alone. So the store's statements look first
//! whether there still is one (G7).

use std::{error::Error, time::Duration};

use idem_core::{
    Idempotency, RecordKey,
    machine::Write,
    store::{Created, Record, StoreError, Stored, Updated},
};
use idem_sql::{
    Stage,
    batch::{self, Answer},
    row::{Row, version},
    tx::{Broken, Conn, Tx, TxStore, Waiters},
};
use sqlx::{
    AssertSqlSafe, Executor, MySql, MySqlConnection, MySqlPool, Row as _, Transaction,
    mysql::{MySqlArguments, MySqlQueryResult, MySqlRow},
    query::Query,
};
use tokio::time::timeout;

use crate::{
    MySqlStore,
    error::{self, LOCK_WAIT_TIMEOUT, is_conflict, store_error},
    read::Found,
    sql::{self, IS_OPEN, LOCK_ONE},
};

/// The transactional mode of a [`MySqlStore`]: the user's rows and the idempotency record commit
/// together, or not at all (G7).
///
/// **Never go on after error 1213 (deadlock):** the server has then rolled the transaction back, and
/// each statement that follows commits by itself. Return the error: the work runs again, all of it. Keep
/// to tables of InnoDB, and to statements that do not commit by themselves: `CREATE TABLE`,
/// `LOCK TABLES` and their kind do.
///
/// ```no_run
/// use idem_core::{Fingerprint, Idempotency, RecordKey};
/// use idem_mysql::MySqlStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MySqlStore::connect("mysql://app@db.example/shop").await?;
/// store.migrate().await?;
/// let idem = Idempotency::builder(store.clone()).build()?;
/// let payments = store.transactional(&idem);
///
/// let key = RecordKey::new("merchant-7", "order-4711")?;
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
pub type Transactional = idem_sql::tx::Transactional<MySqlStore>;

/// An answer that is stored in a transaction, and not yet committed.
pub type Completion = idem_sql::tx::Completion<MySqlStore>;

/// An open transaction, to be committed by whoever ends the execution that wrote in it.
pub type OpenTx = idem_sql::tx::OpenTx<MySqlStore>;

/// Fails outside of a transaction: there a savepoint is gone once it is made.
const IN_TRANSACTION: &str = "SAVEPOINT idem_open; RELEASE SAVEPOINT idem_open";

const RESTORE_WAIT: &str = "SET SESSION innodb_lock_wait_timeout = @idem_lock_wait";

/// What a level, and MariaDB's `innodb_snapshot_isolation`, say of rows that have changed since the
/// transaction began.
const SNAPSHOTS: &str = "SHOW SESSION VARIABLES WHERE Variable_name IN \
    ('innodb_snapshot_isolation', 'transaction_isolation', 'tx_isolation')";

impl MySqlStore {
    /// The transactional mode of this store, under the policy of an engine over it.
    ///
    /// The engine has to be one over this very store (or a clone of it): a claim that another store has
    /// cannot be completed here, and is answered as superseded.
    #[must_use]
    pub fn transactional(&self, engine: &Idempotency) -> Transactional {
        Transactional::new(self.clone(), engine)
    }

    /// Does something in a transaction, waiting so long for another that holds a row.
    async fn bounded<T>(
        &self,
        tx: &mut MySqlConnection,
        wait: Duration,
        work: impl AsyncFnOnce(&mut MySqlConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Broken> {
        let seconds = seconds(wait).max(u64::from(!self.sessions().is_mariadb()));
        let set = format!(
            "{IN_TRANSACTION}; SET @idem_lock_wait = @@SESSION.innodb_lock_wait_timeout, \
             SESSION innodb_lock_wait_timeout = {seconds}"
        );
        run(tx, set).await.map_err(broken)?;
        let worked = work(&mut *tx).await;
        let restored = run(tx, RESTORE_WAIT.to_owned()).await;
        let worked = worked.map_err(broken)?;
        restored.map_err(broken)?;
        Ok(worked)
    }

    /// How a write of one row is sent that waits so long for another transaction.
    fn sending(&self, wait: Duration) -> Sending<'_> {
        Sending {
            store: self,
            wait,
            at_once: self.sessions().is_mariadb(),
        }
    }

    /// The record of a key, which stays as it is until this transaction ends.
    async fn find_in_tx(
        &self,
        tx: &mut MySqlConnection,
        key: &RecordKey,
        wait: Duration,
    ) -> Result<Option<Found>, Broken> {
        let found = self.bounded(tx, wait, async |tx| lock(tx, key).await);
        Ok(found.await?.map(Found::new))
    }
}

/// How a write of one row in a transaction is sent.
struct Sending<'a> {
    store: &'a MySqlStore,
    wait: Duration,
    /// The statement itself bounds its wait, and looks whether there still is a transaction. MySQL has no
    /// words for that, and takes three round trips.
    at_once: bool,
}

impl Sending<'_> {
    /// The statement that `sql` makes for a condition.
    fn statement(&self, sql: impl FnOnce(&str) -> String) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self.at_once {
            true => format!(
                "SET STATEMENT innodb_lock_wait_timeout = {} FOR {}",
                seconds(self.wait),
                sql(IS_OPEN)
            ),
            false => sql("TRUE"),
        })
    }

    async fn write(
        &self,
        tx: &mut MySqlConnection,
        query: Query<'_, MySql, MySqlArguments>,
    ) -> Result<MySqlQueryResult, Broken> {
        match self.at_once {
            true => query.execute(tx).await.map_err(broken),
            false => {
                let bounded = self
                    .store
                    .bounded(tx, self.wait, async |tx| query.execute(tx).await);
                bounded.await
            }
        }
    }
}

/// The longest wait for a lock that MariaDB takes, three years: in strict mode it refuses what is longer.
/// MySQL takes ten times as much.
const LONGEST_WAIT: u64 = 100_000_000;

/// The server counts whole seconds. MySQL knows no wait that is shorter than one.
fn seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(begun).min(LONGEST_WAIT)
}

impl TxStore for MySqlStore {
    type Database = MySql;
    type Turn = ();

    fn pool(&self) -> &MySqlPool {
        MySqlStore::pool(self)
    }

    async fn begin(&self) -> Result<(Tx<'static, Self>, ()), StoreError> {
        let patience = self.sessions().config().patience;
        let begun = timeout(patience, async {
            let mut connection = self.pool().acquire().await?;
            self.sessions().meet(&mut connection).await?;
            Transaction::begin(connection, None).await
        });
        let mut tx = match begun.await {
            Ok(begun) => begun.map_err(|error| store_error(error, Stage::Connecting))?,
            Err(_) => {
                return Err(StoreError::unavailable(format!(
                    "no connection of the pool within {patience:?}"
                )));
            }
        };
        self.sessions().check_ledger(&mut tx).await?;
        Ok((tx, ()))
    }

    async fn create_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
        claim: &Record,
        ttl: Duration,
        wait: Duration,
        _begun: bool,
    ) -> Result<Created, Broken> {
        let (row, writer) = (Row::new(claim, ttl), rand::random::<i64>());
        let sending = self.sending(wait);
        let create = sqlx::query(sending.statement(sql::create_one));
        let create = sql::bind_create(create, key, &row, writer);
        let created = sending.write(tx, create).await?;
        // Without a transaction no row is affected. Of MySQL this is not known for sure.
        if sending.at_once && created.rows_affected() > 0 && created.last_insert_id() == 0 {
            return Ok(Created::New);
        }
        match self.find_in_tx(tx, key, wait).await? {
            Some(found) if found.is_by(writer) => Ok(Created::New),
            found => match live(found.as_ref())? {
                Some(found) => Ok(Created::Exists(found)),
                // It expired between the two statements.
                None => Err(Broken::raced()),
            },
        }
    }

    async fn update_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Updated, Broken> {
        self.fits(&write.record).map_err(Broken::Failed)?;
        let row = Row::new(&write.record, ttl);
        let sending = self.sending(wait);
        let (replace, expected) = (
            sqlx::query(sending.statement(sql::replace_one)),
            version(write.expected),
        );
        let replace = sql::bind_replace(replace, key, &expected, &row, rand::random());
        match sending.write(tx, replace).await?.rows_affected() {
            0 => {
                let found = self.find_in_tx(tx, key, wait).await?;
                Ok(Updated::Conflict(live(found.as_ref())?))
            }
            _ => Ok(Updated::Done),
        }
    }

    async fn end_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
        write: &Write,
        ttl: Duration,
        _own: bool,
    ) -> Result<Updated, Broken> {
        self.update_in_tx(tx, key, write, ttl, self.lock_timeout())
            .await
    }

    async fn lock_in_tx(
        &self,
        tx: &mut Conn<Self>,
        key: &RecordKey,
    ) -> Result<Option<Stored>, Broken> {
        let found = self.find_in_tx(tx, key, self.lock_timeout()).await?;
        live(found.as_ref())
    }

    async fn settled(
        &self,
        key: &RecordKey,
        _claim: &Record,
        _ttl: Duration,
    ) -> Result<Option<Stored>, StoreError> {
        batch::got(self.sessions().settled(key).await?)
    }

    /// InnoDB updates a row as it is now, whatever the transaction's snapshot shows. Only with
    /// `innodb_snapshot_isolation` does it refuse one that has changed.
    async fn renews_in_tx(&self, tx: &mut Conn<Self>) -> Result<bool, StoreError> {
        let rows = tx.fetch_all(sqlx::raw_sql(SNAPSHOTS)).await;
        let rows = rows.map_err(|error| store_error(error, Stage::Connecting))?;
        let (mut refuses, mut snapshot) = (false, true);
        for row in &rows {
            let read = (row.try_get(0), row.try_get(1));
            let (Ok(name), Ok(value)) = read else {
                continue;
            };
            let (name, value): (String, String) = (name, value);
            match name.as_str() {
                "innodb_snapshot_isolation" => refuses = value == "ON",
                _ => snapshot = value.starts_with("REPEATABLE") || value == "SERIALIZABLE",
            }
        }
        Ok(!(refuses && snapshot))
    }

    async fn is_sound(&self, tx: &mut Conn<Self>) -> Result<(), sqlx::Error> {
        run(tx, IN_TRANSACTION.to_owned()).await
    }

    /// Rolls it back and ends the session: what follows cannot commit alone.
    async fn forbid_commit(&self, tx: &mut Conn<Self>) {
        let _ = run(tx, "ROLLBACK; KILL CONNECTION_ID()".to_owned()).await;
    }

    fn store_error(error: sqlx::Error, stage: Stage) -> StoreError {
        store_error(error, stage)
    }

    /// What a cluster or a read-only server says before it commits. After any other error the record is
    /// asked.
    fn is_refusal(error: &sqlx::Error) -> bool {
        let number = error::number(error);
        is_conflict(error) || matches!(number, Some(LOCK_WAIT_TIMEOUT | 1290 | 1305 | 1792 | 1836))
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

    fn waiters(&self) -> Option<&std::sync::Arc<Waiters>> {
        Some(MySqlStore::waiters(self))
    }
}

/// The row of a key, locked until the transaction ends.
async fn lock(tx: &mut MySqlConnection, key: &RecordKey) -> Result<Option<MySqlRow>, sqlx::Error> {
    let lock = sqlx::query(LOCK_ONE.as_str())
        .bind(key.key().as_bytes())
        .bind(key.scope().as_bytes());
    lock.fetch_optional(tx).await
}

/// What a row says that this transaction has locked: past its ttl it is absent.
fn live(found: Option<&Found>) -> Result<Option<Stored>, Broken> {
    match found.map(Found::answer).transpose() {
        Ok(Some(Answer::Found(stored))) => Ok(Some(stored)),
        Ok(Some(Answer::Expired | Answer::Done) | None) => Ok(None),
        Err(error) => Err(Broken::Failed(error)),
    }
}

async fn run(tx: &mut MySqlConnection, sql: String) -> Result<(), sqlx::Error> {
    // Safe: the crate's own text.
    let sql = sqlx::raw_sql(AssertSqlSafe(sql));
    tx.execute(sql).await.map(drop)
}

/// Before the commit nothing was applied.
fn broken(error: sqlx::Error) -> Broken {
    let conflicts = is_conflict(&error);
    let number = error::number(&error);
    let error = store_error(error, Stage::Connecting);
    match number {
        _ if conflicts => Broken::Conflict(error),
        Some(LOCK_WAIT_TIMEOUT) => Broken::Contended(error),
        _ => Broken::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use idem_conformance::DURATIONS;

    use super::*;

    #[test]
    fn every_wait_is_one_that_the_server_takes() {
        for (wait, whole) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(wait)), whole);
        }
        for wait in DURATIONS {
            assert!(seconds(wait) <= LONGEST_WAIT, "{wait:?}");
        }
    }
}
