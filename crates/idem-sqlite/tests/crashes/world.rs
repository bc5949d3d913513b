//! A file with a table of payments.

use idem_sqlite::SqliteStore;
use tempfile::TempDir;

pub(crate) use idem_sqlite::{CommitError, Committed, Transactional, TxError};
pub(crate) use sqlx::SqliteConnection as Conn;

pub(crate) type TestedStore = SqliteStore;

/// The user's work, with the key as its one parameter.
pub(crate) const INSERT: &str = "INSERT INTO payments VALUES (?)";

/// So many points of a kind every call has, unless an answer is there before its client looks for it.
pub(crate) const SURE: u64 = 4;

pub(crate) struct World {
    folder: TempDir,
    store: SqliteStore,
}

impl World {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&url(&folder)).await;
        let table = sqlx::query("CREATE TABLE payments (key TEXT NOT NULL)");
        table.execute(store.pool()).await.unwrap();
        Self { folder, store }
    }

    pub(crate) fn url(&self) -> String {
        url(&self.folder)
    }

    pub(crate) fn store(&self) -> &SqliteStore {
        &self.store
    }

    pub(crate) async fn crash_server(&self) {
        unreachable!("SQLite has no server");
    }

    /// Whoever died holds nothing: its locks went with its process.
    pub(crate) async fn wait_for_the_dead(&self) {}

    pub(crate) async fn rows(&self, key: &str) -> usize {
        let query = sqlx::query("SELECT 1 FROM payments WHERE key = ?").bind(key);
        query.fetch_all(self.store.pool()).await.unwrap().len()
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("app.db").display())
}

/// The store as another process would have it.
pub(crate) async fn store(url: &str) -> SqliteStore {
    SqliteStore::connect(url).await.unwrap()
}
