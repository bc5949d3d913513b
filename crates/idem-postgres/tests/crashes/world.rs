//! A PostgreSQL server with a table of payments.

use idem_postgres::PostgresStore;
use idem_testbed::{Postgres, skip_or_fail};

pub(crate) use idem_postgres::{CommitError, Committed, Transactional, TxError};
pub(crate) use sqlx::PgConnection as Conn;

pub(crate) type TestedStore = PostgresStore;

/// The user's work, with the key as its one parameter.
pub(crate) const INSERT: &str = "INSERT INTO payments VALUES ($1)";

/// So many points of a kind every call has, unless an answer is there before its client looks for it:
/// the claim, the begin, the work, the completion and the commit. A busy machine that runs the server
/// in the client's place does that, and the point is then looked for in another call.
pub(crate) const SURE: u64 = 5;

pub(crate) struct World {
    server: Postgres,
    store: PostgresStore,
}

impl World {
    pub(crate) async fn open(level: &str) -> Option<Self> {
        let builder = Postgres::builder().setting("default_transaction_isolation", level);
        let server = skip_or_fail(builder.start().await)?;
        let table = "CREATE TABLE payments (key text NOT NULL)";
        server.sql(table).unwrap();
        let store = store(&server.url()).await;
        store.migrate().await.unwrap();
        Some(Self { server, store })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn store(&self) -> &PostgresStore {
        &self.store
    }

    pub(crate) async fn crash_server(&self) {
        self.server.kill();
        self.server.restart().await.unwrap();
    }

    /// Waits until no transaction of a client's is left.
    pub(crate) async fn wait_for_the_dead(&self) {
        let others = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' \
             AND state <> 'idle' AND pid <> pg_backend_pid()";
        while !self.server.sql(others).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn rows(&self, key: &str) -> usize {
        let sql = format!("SELECT 1 FROM payments WHERE key = '{key}'");
        self.server.sql(&sql).unwrap().len()
    }
}

/// The store as another process would have it.
pub(crate) async fn store(url: &str) -> PostgresStore {
    PostgresStore::connect(url).await.unwrap()
}
