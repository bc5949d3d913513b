//! A server with a table of payments, and the transactional mode over it.

#[path = "../../../idem-sql/tests/transactional/world.rs"]
mod alike;

use std::{sync::OnceLock, time::Duration};

use idem_core::{Fingerprint, IdempotencyKey, RecordKey, Scope};
use idem_postgres::{PostgresConfig, PostgresStore, Protocol};
use idem_testbed::{FaultyProxy, PgBouncer, Postgres, Rule, skip_or_fail};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};

use alike::transactional;
pub(crate) use alike::{Told, is_absent};
pub(crate) use idem_postgres::{Completion, OpenTx, Transactional, is_transient};

/// The user's connection.
pub(crate) type Conn = PgConnection;

/// The store that these tests are about.
type TestedStore = PostgresStore;

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

    /// Another process.
    pub(crate) async fn elsewhere(&self) -> Transactional {
        let url = self.server.url_of(&self.database);
        transactional(&connect(&url, Protocol::Prepared).await)
    }

    /// Another process, which waits as long for a lock as a duplicate has to.
    pub(crate) async fn patient(&self) -> Transactional {
        self.elsewhere().await
    }

    /// Strikes at the statement that stores the answer.
    pub(crate) fn at_the_ending(&self, rule: Rule) -> Rule {
        rule.containing("idem")
    }

    /// Whether a transaction locks the record of an execution from its begin.
    pub(crate) fn locks_records(&self) -> bool {
        false
    }

    /// The retention of the record is over.
    pub(crate) async fn expire(&self) {
        self.sql("UPDATE idem.records SET expires_at = clock_timestamp()")
            .await;
    }

    pub(crate) async fn has_a_live_record(&self) -> bool {
        let live = "SELECT key FROM idem.records WHERE expires_at > clock_timestamp()";
        !self.sql(live).await.is_empty()
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
