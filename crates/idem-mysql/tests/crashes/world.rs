//! A MariaDB server with a table of payments.

use idem_mysql::{MySqlConfig, MySqlStore};
use idem_testbed::{MariaDb, skip_or_fail};

pub(crate) use idem_mysql::{CommitError, Committed, Transactional, TxError};
pub(crate) use sqlx::MySqlConnection as Conn;

pub(crate) type TestedStore = MySqlStore;

/// The user's work, with the key as its one parameter.
pub(crate) const INSERT: &str = "INSERT INTO payments VALUES (?)";

/// So many points of a kind every call has, unless an answer is there before its client looks for it:
/// the claim, the work, the completion and the commit.
pub(crate) const SURE: u64 = 4;

pub(crate) struct World {
    server: MariaDb,
    store: MySqlStore,
}

impl World {
    pub(crate) async fn open() -> Option<Self> {
        let server = skip_or_fail(MariaDb::start().await)?;
        let setup = "CREATE DATABASE shop; \
             CREATE TABLE shop.payments (`key` VARCHAR(100) NOT NULL); \
             CREATE USER client@127.0.0.1; GRANT ALL ON shop.* TO client@127.0.0.1";
        server.sql(setup).unwrap();
        let store = store(&server.url_of("shop")).await;
        store.migrate().await.unwrap();
        Some(Self { server, store })
    }

    /// As a user that the checks are not, so that its sessions can be told from theirs.
    pub(crate) fn url(&self) -> String {
        let url = self.server.url_of("shop");
        url.replace("//root@", "//client@")
    }

    pub(crate) fn store(&self) -> &MySqlStore {
        &self.store
    }

    pub(crate) async fn crash_server(&self) {
        self.server.kill();
        self.server.restart().await.unwrap();
    }

    /// Waits until no session of a client's is left: a commit that was sent may be under way.
    pub(crate) async fn wait_for_the_dead(&self) {
        let sessions = "SELECT 'one' FROM information_schema.processlist WHERE user = 'client'";
        while !self.server.sql(sessions).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn rows(&self, key: &str) -> usize {
        let sql = format!("SELECT 'one' FROM shop.payments WHERE `key` = '{key}'");
        self.server.sql(&sql).unwrap().lines().count()
    }
}

/// The store as another process would have it.
pub(crate) async fn store(url: &str) -> MySqlStore {
    let config = MySqlConfig::default().sweep_every(None);
    MySqlStore::connect_with(url, config).await.unwrap()
}
