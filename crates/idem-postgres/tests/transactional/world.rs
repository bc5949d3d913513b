//! A server with a table of payments, and the transactional mode over it.

use std::{sync::OnceLock, time::Duration};

use idem_core::{
    Claim, Execution, Fingerprint, Idempotency, IdempotencyKey, Policy, RecordKey, Scope,
};
use idem_postgres::{PostgresConfig, PostgresStore, Protocol, Transactional};
use idem_testbed::{FaultyProxy, PgBouncer, Postgres, skip_or_fail};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};

/// How the server is reached, and its default level.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    level: &'static str,
    pooled: bool,
}

impl Setting {
    pub(crate) const READ_COMMITTED: Self = Self::directly("read committed");
    pub(crate) const REPEATABLE_READ: Self = Self::directly("repeatable read");
    pub(crate) const SERIALIZABLE: Self = Self::directly("serializable");
    pub(crate) const PGBOUNCER: Self = Self {
        level: "read committed",
        pooled: true,
    };

    const fn directly(level: &'static str) -> Self {
        Self {
            level,
            pooled: false,
        }
    }
}

/// A database of its own, of a server that all tests share.
pub(crate) struct World {
    server: Postgres,
    database: String,
    protocol: Protocol,
    bouncer: Option<PgBouncer>,
    store: PostgresStore,
    pub(crate) transactional: Transactional,
    pub(crate) key: RecordKey,
    pub(crate) fingerprint: Fingerprint,
}

/// The lease of the policies here: longer than any test.
const LEASE: Duration = Duration::from_secs(300);

impl World {
    pub(crate) async fn open(setting: Setting) -> Option<Self> {
        let server = tokio::task::spawn_blocking(server).await.unwrap()?;
        let database = format!("db_{}", IdempotencyKey::random().as_str().replace('-', ""));
        server.sql(&format!("CREATE DATABASE {database}")).unwrap();
        let level = setting.level;
        let set =
            format!("ALTER DATABASE {database} SET default_transaction_isolation = '{level}'");
        server.sql(&set).unwrap();
        let bouncer = match setting.pooled {
            true => Some(skip_or_fail(PgBouncer::start(server.address()).await)?),
            false => None,
        };
        let protocol = match setting.pooled {
            true => Protocol::Simple,
            false => Protocol::Prepared,
        };
        let url = match &bouncer {
            Some(bouncer) => bouncer.url_of(&database),
            None => server.url_of(&database),
        };
        let store = connect(&url, protocol).await;
        let world = Self {
            transactional: transactional(&store),
            store,
            server,
            database,
            protocol,
            bouncer,
            fingerprint: Fingerprint::of("payments/v1", b"500 usd"),
            key: Scope::global().key(&IdempotencyKey::random()),
        };
        world
            .sql("CREATE TABLE payments (reference text NOT NULL)")
            .await;
        Some(world)
    }

    /// Another process, which reaches the database through a proxy.
    pub(crate) async fn through_proxy(&self) -> (FaultyProxy, Transactional) {
        let (address, url) = match &self.bouncer {
            Some(bouncer) => (bouncer.address(), bouncer.url_of(&self.database)),
            None => (self.server.address(), self.server.url_of(&self.database)),
        };
        let proxy = FaultyProxy::start(address).unwrap();
        let store = connect(&proxy.url(&url), self.protocol).await;
        (proxy, transactional(&store))
    }

    /// The same database, with answers that are kept for a moment.
    pub(crate) fn forgetful(&self) -> Transactional {
        let policy = Policy::default()
            .lease(LEASE)
            .retention(Duration::from_millis(1));
        let idem = Idempotency::builder(self.store.clone()).policy(policy);
        self.store.transactional(&idem.build().unwrap())
    }

    /// Another process.
    pub(crate) async fn elsewhere(&self) -> Transactional {
        let url = self.server.url_of(&self.database);
        transactional(&connect(&url, Protocol::Prepared).await)
    }

    pub(crate) fn store(&self) -> &PostgresStore {
        &self.store
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.store.pool()
    }

    /// A statement past the store, on a connection of its own.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<Option<String>> {
        use sqlx::Connection as _;
        let url = self.server.url_of(&self.database);
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Claims the key as whoever takes no part in a transaction does.
    pub(crate) async fn claim(&self) -> Claim {
        let engine = self.transactional.engine();
        engine.claim(&self.key, &self.fingerprint).await.unwrap()
    }

    /// [`claim`](Self::claim) of a key that is free.
    pub(crate) async fn acquire(&self) -> Execution {
        match self.claim().await {
            Claim::Acquired(execution) => execution,
            other => panic!("the key is free: {other:?}"),
        }
    }

    /// How many payments were committed.
    pub(crate) async fn payments(&self) -> usize {
        self.sql("SELECT reference FROM payments").await.len()
    }

    /// The status of the one record, and its attempt.
    pub(crate) async fn record(&self) -> Option<String> {
        let record = self
            .sql("SELECT status || ' ' || attempt FROM idem.records")
            .await;
        assert!(record.len() <= 1, "one key has one record");
        record.into_iter().next().flatten()
    }

    /// How many statements of this database wait for a lock.
    pub(crate) async fn waiting_for_locks(&self) -> usize {
        let sql = format!(
            "SELECT query FROM pg_stat_activity \
             WHERE datname = '{}' AND wait_event_type = 'Lock'",
            self.database
        );
        self.sql(&sql).await.len()
    }

    /// What another process does that takes the key over.
    pub(crate) async fn take_over(&self) {
        self.sql(
            "UPDATE idem.records SET attempt = attempt + 1, revision = revision + 1, \
             token = decode(md5('another'), 'hex')",
        )
        .await;
    }
}

async fn connect(url: &str, protocol: Protocol) -> PostgresStore {
    let config = PostgresConfig::default()
        .protocol(protocol)
        .lock_timeout(Duration::from_millis(200));
    let store = PostgresStore::connect_with(url, config).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn transactional(store: &PostgresStore) -> Transactional {
    let policy = Policy::default().lease(LEASE);
    let idem = Idempotency::builder(store.clone()).policy(policy);
    store.transactional(&idem.build().unwrap())
}

fn server() -> Option<Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER
        .get_or_init(|| skip_or_fail(Postgres::start_blocking()))
        .clone()
}

/// The user's work: one row.
pub(crate) async fn pay(tx: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query("INSERT INTO payments VALUES ('p-1')")
        .persistent(false)
        .execute(tx)
        .await?;
    Ok("p-1".to_owned())
}

/// Whatever the store has of the key.
pub(crate) async fn is_absent(transactional: &Transactional, key: &RecordKey) -> bool {
    let found = transactional.engine().lookup(key).await;
    found.unwrap().is_none()
}

/// An error of the work that is no error of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told(pub(crate) &'static str);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Told {}
