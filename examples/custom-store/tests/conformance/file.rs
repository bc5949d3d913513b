//! A store that can be closed, looked at from behind, and opened again, while its users hold on to
//! it.

use std::{path::PathBuf, thread, time::Duration};

use custom_store::RedbStore;
use idem_conformance::async_trait;
use idem_core::{
    RecordKey,
    store::{
        Browse, Created, Cursor, Deleted, Filter, Page, Record, Store, StoreError, Stored, Sweep,
        Updated, Version,
    },
};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::TempDir;
use tokio::sync::RwLock;

/// As the store keeps it.
const RECORDS: TableDefinition<&str, (u64, u64, &[u8])> = TableDefinition::new("records");

pub(crate) struct File {
    _folder: TempDir,
    path: PathBuf,
    /// None only while the lock is held for writing.
    open: RwLock<Option<RedbStore>>,
}

impl File {
    pub(crate) fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.redb");
        let store = RedbStore::open(&path).unwrap();
        Self {
            _folder: folder,
            path,
            open: RwLock::new(Some(store)),
        }
    }

    /// Closes the file, does something to it, and opens it again.
    pub(crate) async fn while_closed<T>(&self, work: impl FnOnce(&Database) -> T) -> T {
        let mut open = self.open.write().await;
        drop(open.take());
        let database = self.take_over();
        let result = work(&database);
        drop(database);
        *open = Some(RedbStore::open(&self.path).unwrap());
        result
    }

    /// A transaction whose caller hung up may still be at work.
    fn take_over(&self) -> Database {
        loop {
            match Database::open(&self.path) {
                Err(DatabaseError::DatabaseAlreadyOpen) => thread::sleep(Duration::from_millis(1)),
                opened => return opened.unwrap(),
            }
        }
    }

    pub(crate) async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        self.while_closed(|database| {
            let records = database.begin_read().unwrap().open_table(RECORDS).unwrap();
            let row = records.get(key.as_str()).unwrap();
            row.map(|row| row.value().2.to_vec())
        })
        .await
    }

    /// Changes the bytes of a record behind the store's back.
    pub(crate) async fn alter(&self, key: &RecordKey, change: impl FnOnce(&mut Vec<u8>)) {
        self.while_closed(|database| {
            let transaction = database.begin_write().unwrap();
            {
                let mut records = transaction.open_table(RECORDS).unwrap();
                let (written, gone, mut bytes) = {
                    let row = records.get(key.as_str()).unwrap().unwrap();
                    let (written, gone, bytes) = row.value();
                    (written, gone, bytes.to_vec())
                };
                change(&mut bytes);
                records
                    .insert(key.as_str(), (written, gone, &*bytes))
                    .unwrap();
            }
            transaction.commit().unwrap();
        })
        .await;
    }
}

/// Calls the store that is open, which stays open for as long as the call is waited for.
macro_rules! forward {
    ($file:ident.$call:ident($($argument:expr),*)) => {{
        let open = $file.open.read().await;
        let store = open.as_ref().expect("it is closed under the write lock only");
        store.$call($($argument),*).await
    }};
}

#[async_trait]
impl Store for File {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        forward!(self.create(key, record, ttl))
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        forward!(self.update(key, expected, record, ttl))
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        forward!(self.delete(key, expected))
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        forward!(self.get(key))
    }
}

#[async_trait]
impl Sweep for File {
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        forward!(self.sweep(limit))
    }
}

#[async_trait]
impl Browse for File {
    async fn browse(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        forward!(self.browse(filter, after, limit))
    }
}
