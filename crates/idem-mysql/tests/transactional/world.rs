//! A server with a table of payments, and the transactional mode over it.

#[path = "../../../idem-sql/tests/transactional/world.rs"]
mod alike;

use std::{sync::OnceLock, time::Duration};

use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope,
    store::{ClaimToken, Store, Updated, Version},
};
use idem_mysql::{MySqlConfig, MySqlStore};
use idem_testbed::{FaultyProxy, MariaDb, Rule, skip_or_fail};
use sqlx::{
    AssertSqlSafe, Executor, MySqlConnection, MySqlPool, Row,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

use alike::{LEASE, transactional};
pub(crate) use alike::{Told, is_absent};
pub(crate) use idem_mysql::{Completion, OpenTx, Transactional, is_transient};

/// The user's connection.
pub(crate) type Conn = MySqlConnection;

/// The store that these tests are about.
type TestedStore = MySqlStore;

/// What each session of the application's pool begins with.
pub(crate) const READ_COMMITTED: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
pub(crate) const REPEATABLE_READ: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
pub(crate) const SERIALIZABLE: &str = "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE";
pub(crate) const SNAPSHOT: &str = "SET SESSION innodb_snapshot_isolation = ON";

/// A database of its own, of a server that all tests share.
pub(crate) struct World {
    server: MariaDb,
    database: String,
    session: &'static str,
    store: MySqlStore,
    pub(crate) transactional: Transactional,
    pub(crate) key: RecordKey,
    pub(crate) fingerprint: Fingerprint,
}

impl World {
    pub(crate) async fn open(session: &'static str) -> Option<Self> {
        let server = tokio::task::spawn_blocking(server).await.unwrap()?;
        let database = format!("db_{}", IdempotencyKey::random().as_str().replace('-', ""));
        server.sql(&format!("CREATE DATABASE {database}")).unwrap();
        let store = connect(&server.url_of(&database), session).await;
        let world = Self {
            transactional: transactional(&store),
            store,
            server,
            database,
            session,
            fingerprint: Fingerprint::of("payments/v1", b"500 usd"),
            key: Scope::global().key(&IdempotencyKey::random()),
        };
        world
            .sql("CREATE TABLE payments (reference VARCHAR(20) NOT NULL)")
            .await;
        Some(world)
    }

    /// Another process, which reaches the database through a proxy.
    pub(crate) async fn through_proxy(&self) -> (FaultyProxy, Transactional) {
        let proxy = FaultyProxy::start(self.server.address()).unwrap();
        let url = proxy.url(&self.server.url_of(&self.database));
        let store = connect(&url, self.session).await;
        (proxy, transactional(&store))
    }

    /// Another process.
    pub(crate) async fn elsewhere(&self) -> Transactional {
        let url = self.server.url_of(&self.database);
        transactional(&connect(&url, self.session).await)
    }

    /// Another process, which waits long for a lock.
    pub(crate) async fn patient(&self) -> Transactional {
        let url = self.server.url_of(&self.database);
        let config = MySqlConfig::default().lock_timeout(Duration::from_secs(60));
        transactional(&connect_with(&url, self.session, config).await)
    }

    /// Strikes at the statement that stores the answer.
    pub(crate) fn at_the_ending(&self, rule: Rule) -> Rule {
        rule.containing("completed")
    }

    pub(crate) async fn has_a_live_record(&self) -> bool {
        self.record().await.is_some()
    }

    pub(crate) fn store(&self) -> &MySqlStore {
        &self.store
    }

    pub(crate) fn pool(&self) -> &MySqlPool {
        self.store.pool()
    }

    /// A statement past the store, on a connection of its own.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<Option<String>> {
        use sqlx::Connection as _;
        let url = self.server.url_of(&self.database);
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The status of the record, and its attempt.
    pub(crate) async fn record(&self) -> Option<String> {
        let found = self.store.get(&self.key).await.unwrap()?.record;
        Some(format!("{} {}", found.state.name(), found.attempt))
    }

    /// How many statements of this database wait for a lock: nothing else takes them so long.
    /// (`innodb_trx` shows nothing new to those who ask again within a tenth of a second.)
    pub(crate) async fn waiting_for_locks(&self) -> usize {
        let sql = format!(
            "SELECT 'waits' FROM information_schema.processlist WHERE db = '{}' \
             AND id <> CONNECTION_ID() AND command <> 'Sleep' AND time_ms > 100",
            self.database
        );
        self.sql(&sql).await.len()
    }

    /// Whether a transaction locks the record of an execution from its begin.
    pub(crate) fn locks_records(&self) -> bool {
        self.session == SNAPSHOT
    }

    /// The retention of the record is over.
    pub(crate) async fn expire(&self) {
        self.sql("UPDATE idem_records SET expires_at = updated_at + 1")
            .await;
    }

    /// What another process does that takes the key over.
    pub(crate) async fn take_over(&self) {
        let mut record = self.store.get(&self.key).await.unwrap().unwrap().record;
        let expected = record.version;
        record.attempt += 1;
        record.version = Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 1,
        };
        let updated = self.store.update(&self.key, expected, &record, LEASE).await;
        assert_eq!(updated.unwrap(), Updated::Done);
    }

    /// Gets in the way of another transaction over the rows of `pair`, so that the server rolls this
    /// one back, which has written less.
    pub(crate) async fn lose_a_deadlock(&self, tx: &mut MySqlConnection) {
        let update = |id: i32| {
            let sql = format!("UPDATE pair SET n = n + 1 WHERE id = {id}");
            sqlx::raw_sql(AssertSqlSafe(sql))
        };
        update(1).execute(&mut *tx).await.unwrap();
        let mut other = self.pool().begin().await.unwrap();
        for _ in 0..100 {
            let insert = sqlx::raw_sql("INSERT INTO pair SELECT MAX(id) + 1, 0 FROM pair");
            insert.execute(&mut *other).await.unwrap();
        }
        update(2).execute(&mut *other).await.unwrap();
        let (theirs, ours) = tokio::join!(update(1).execute(&mut *other), async {
            while self.waiting_for_locks().await == 0 {}
            update(2).execute(&mut *tx).await
        });
        assert!(ours.is_err(), "the server ends the smaller of the two");
        theirs.unwrap();
        other.rollback().await.unwrap();
    }
}

async fn connect(url: &str, session: &'static str) -> MySqlStore {
    let config = MySqlConfig::default().lock_timeout(Duration::from_millis(200));
    connect_with(url, session, config).await
}

async fn connect_with(url: &str, session: &'static str, config: MySqlConfig) -> MySqlStore {
    let options: MySqlConnectOptions = url.parse().unwrap();
    let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
        Box::pin(async move { connection.execute(session).await.map(drop) })
    });
    let store = MySqlStore::with_config(pool.connect_lazy_with(options), config);
    store.migrate().await.unwrap();
    store
}

fn server() -> Option<MariaDb> {
    static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
    SERVER
        .get_or_init(|| skip_or_fail(MariaDb::start_blocking()))
        .clone()
}

/// The user's work: one row.
pub(crate) async fn pay(tx: &mut MySqlConnection) -> Result<String, sqlx::Error> {
    sqlx::query("INSERT INTO payments VALUES ('p-1')")
        .execute(tx)
        .await?;
    Ok("p-1".to_owned())
}
