//! What the suite may do to a file.

use std::{
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, Mutex},
    time::Duration,
};

use idem_conformance::{
    Browsing, Corrupt, FaultStore, Faults, Fill, Harness, Restart, Sweeping, async_trait,
};
use idem_core::{
    RecordKey,
    store::{Browse, Store},
};
use idem_sqlite::{Durability, SqliteConfig, SqliteStore};
use sqlx::{Row, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::child;

/// A file in a folder of its own. All handles of a harness share it.
pub(crate) struct SqliteHarness {
    name: &'static str,
    durability: Durability,
    folder: Folder,
}

/// A folder that goes with the last of its users.
#[derive(Clone)]
struct Folder(Arc<TempDir>);

impl Folder {
    fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("idem.db")
    }

    async fn raw(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.file())
            .busy_timeout(Duration::from_secs(30));
        sqlx::ConnectOptions::connect(&options).await.unwrap()
    }
}

/// The suite asserts of no call that it is quick, and asks the store without an engine, which would
/// ask again.
fn patient() -> SqliteConfig {
    let minute = Duration::from_secs(60);
    SqliteConfig::default()
        .busy_timeout(minute)
        .send_timeout(minute)
        .sweep_every(None)
}

async fn open(file: &Path, config: SqliteConfig) -> SqliteStore {
    let url = format!("sqlite:{}", file.display());
    SqliteStore::connect_with(&url, config).await.unwrap()
}

impl SqliteHarness {
    pub(crate) fn new(name: &'static str, durability: Durability) -> Self {
        Self {
            name,
            durability,
            folder: Folder::new(),
        }
    }

    fn config(&self) -> SqliteConfig {
        patient().durability(self.durability)
    }

    async fn alone(&self) -> (Folder, SqliteStore) {
        let folder = Folder::new();
        let store = open(&folder.file(), self.config()).await;
        (folder, store)
    }
}

#[async_trait]
impl Harness for SqliteHarness {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(open(&self.folder.file(), self.config()).await)
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        let folder = Folder::new();
        let child = child::start(&folder.file());
        Some(Box::new(Restarting {
            folder,
            child: Mutex::new(child),
            config: self.config(),
        }))
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        let (folder, store) = self.alone().await;
        Some(Box::new(Faulty {
            _folder: folder,
            faults: FaultStore::new(store),
        }))
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        let (folder, store) = self.alone().await;
        Some(Box::new(Damage { folder, store }))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        let folder = Folder::new();
        let config = self.config().largest_file(LARGEST);
        let store = open(&folder.file(), config).await;
        Some(Box::new(Full { folder, store }))
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let (folder, store) = self.alone().await;
        std::mem::forget(folder);
        Some(Sweeping {
            store: Arc::new(store.clone()),
            sweep: Arc::new(store),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        let (folder, store) = self.alone().await;
        std::mem::forget(folder);
        Some(Browsing {
            store: Arc::new(store.clone()),
            browse: Arc::new(store),
        })
    }
}

/// Nothing serves an embedded file but the processes that have it open: one of them is killed in the
/// middle of its writes, and another opens the file.
struct Restarting {
    folder: Folder,
    child: Mutex<Child>,
    config: SqliteConfig,
}

#[async_trait]
impl Restart for Restarting {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(open(&self.folder.file(), self.config.clone()).await)
    }

    async fn restart(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        *child = child::start(&self.folder.file());
    }
}

impl Drop for Restarting {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// There is no connection to break, so calls are lost before and behind the store.
struct Faulty {
    _folder: Folder,
    faults: FaultStore<SqliteStore>,
}

#[async_trait]
impl Faults for Faulty {
    async fn store(&self) -> Arc<dyn Store> {
        Faults::store(&self.faults).await
    }

    async fn truth(&self) -> Arc<dyn Store> {
        Faults::truth(&self.faults).await
    }

    async fn inject(
        &self,
        fault: idem_conformance::Fault,
    ) -> Result<(), idem_conformance::Skipped> {
        Faults::inject(&self.faults, fault).await
    }

    async fn heal(&self) {
        Faults::heal(&self.faults).await;
    }
}

/// Writes past the store.
struct Damage {
    folder: Folder,
    store: SqliteStore,
}

impl Damage {
    async fn write(&self, sql: &'static str, key: &RecordKey) {
        let mut connection = self.folder.raw().await;
        let query = sqlx::query(sql).bind(key.key()).bind(key.scope());
        let done = query.execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
}

#[async_trait]
impl Corrupt for Damage {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.write(
            "UPDATE idem_records SET body = CAST(x'FF' || substr(body, 2) AS BLOB), \
             version = CAST(x'FF' || substr(version, 2) AS BLOB) WHERE key = ? AND scope = ?",
            key,
        )
        .await;
    }

    async fn damage(&self, key: &RecordKey) {
        self.write(
            "UPDATE idem_records SET body = CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB) \
             WHERE key = ? AND scope = ?",
            key,
        )
        .await;
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(Arc::new(self.store.clone()))
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        let mut connection = self.folder.raw().await;
        let sql = "SELECT hex(version) || hex(body) || status || updated_at || expires_at \
            FROM idem_records WHERE key = ? AND scope = ?";
        let query = sqlx::query(sql).bind(key.key()).bind(key.scope());
        let row = query.fetch_optional(&mut connection).await.unwrap()?;
        Some(row.try_get::<String, _>(0).unwrap().into_bytes())
    }
}

/// The largest size of the file that gets full.
const LARGEST: u64 = 4 << 20;

struct Full {
    folder: Folder,
    store: SqliteStore,
}

#[async_trait]
impl Fill for Full {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    /// The application's own rows take the room.
    async fn fill(&self) {
        let mut connection = self.folder.raw().await;
        let table = "CREATE TABLE IF NOT EXISTS filler (bytes BLOB)";
        sqlx::query(table).execute(&mut connection).await.unwrap();
        let pages = format!("PRAGMA max_page_count = {}", LARGEST / 4096);
        let pragma = sqlx::query(sqlx::AssertSqlSafe(pages));
        pragma.execute(&mut connection).await.unwrap();
        for size in [100_000, 10_000, 2_000] {
            let insert = "INSERT INTO filler VALUES (zeroblob(?))";
            while sqlx::query(insert)
                .bind(size)
                .execute(&mut connection)
                .await
                .is_ok()
            {}
        }
    }
}
