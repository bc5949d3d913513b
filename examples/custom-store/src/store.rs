//! [`RedbStore`].

use std::{fmt, panic, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{Created, Deleted, Record, Store, StoreError, Stored, Updated, Version},
};
use redb::{Database, ReadableDatabase};

use crate::{
    clock::{Clock, Moment},
    error::{at_commit, before_commit, opening},
    tables::{RECORDS, Tables, live},
};

/// Keeps records in one file, for one process at a time: a job runner, a desktop application, a
/// service of one instance that must not forget when it is restarted.
///
/// Every write is on disk when its call returns. Cheap to clone; clones share the file, which is
/// closed with the last of them.
#[derive(Clone)]
pub struct RedbStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    database: Database,
    clock: Clock,
}

impl RedbStore {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) when another process has it open, or it is no
    /// redb file; otherwise what the disk says. Blocks while a file that was not closed is repaired.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(opening)?;
        let clock = Clock::starting_after(prepare(&database)?);
        Ok(Self {
            inner: Arc::new(Inner { database, clock }),
        })
    }

    /// Runs a transaction on a thread that may wait for the disk.
    ///
    /// A caller that hangs up stops waiting and nothing else: the transaction goes on to its end
    /// (rule S10).
    pub(crate) async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            Err(error) => Err(StoreError::unavailable("the runtime is ending").with_source(error)),
        }
    }
}

/// Makes the tables, so that nobody who reads has to ask whether they are there; tells the time of
/// the last write.
fn prepare(database: &Database) -> Result<Moment, StoreError> {
    let transaction = database.begin_write().map_err(before_commit)?;
    let tables = Tables::open(&transaction).map_err(before_commit)?;
    let last_write = tables.last_write().map_err(before_commit)?;
    drop(tables);
    transaction.commit().map_err(at_commit)?;
    Ok(last_write)
}

/// What a transaction comes to: something to commit, or nothing.
pub(crate) enum Outcome<T> {
    Changed(T),
    Unchanged(T),
}

impl Inner {
    /// Looks and writes in one transaction. redb lets one writer in at a time, so what was seen is
    /// still so when it is written (S1–S3); and the clock is read inside, so time passes in the
    /// order of the writes.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&mut Tables<'_>, Moment) -> Result<Outcome<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_write().map_err(before_commit)?;
        let mut tables = Tables::open(&transaction).map_err(before_commit)?;
        let outcome = work(&mut tables, self.clock.now())?;
        drop(tables);
        match outcome {
            Outcome::Changed(answer) => {
                transaction.commit().map_err(at_commit)?;
                Ok(answer)
            }
            Outcome::Unchanged(answer) => Ok(answer),
        }
    }

    /// Looks at records as they are after the last commit.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(
            &redb::ReadOnlyTable<&'static str, crate::tables::Row>,
            Moment,
        ) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(before_commit)?;
        let records = transaction.open_table(RECORDS).map_err(before_commit)?;
        work(&records, self.clock.now())
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        self.on_a_thread(move |inner| {
            inner.write(|tables, now| {
                if let Some(found) = live(&tables.records, key.as_str(), now)? {
                    return Ok(Outcome::Unchanged(Created::Exists(found)));
                }
                tables
                    .put(key.as_str(), &record, ttl, now)
                    .map_err(before_commit)?;
                Ok(Outcome::Changed(Created::New))
            })
        })
        .await
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        self.on_a_thread(move |inner| {
            inner.write(|tables, now| {
                let found = live(&tables.records, key.as_str(), now)?;
                if !is_at(found.as_ref(), expected) {
                    return Ok(Outcome::Unchanged(Updated::Conflict(found)));
                }
                tables
                    .put(key.as_str(), &record, ttl, now)
                    .map_err(before_commit)?;
                Ok(Outcome::Changed(Updated::Done))
            })
        })
        .await
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let key = key.clone();
        self.on_a_thread(move |inner| {
            inner.write(|tables, now| {
                let found = live(&tables.records, key.as_str(), now)?;
                if !is_at(found.as_ref(), expected) {
                    return Ok(Outcome::Unchanged(Deleted::Conflict(found)));
                }
                tables.remove(key.as_str(), now).map_err(before_commit)?;
                Ok(Outcome::Changed(Deleted::Done))
            })
        })
        .await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let key = key.clone();
        self.on_a_thread(move |inner| inner.read(|records, now| live(records, key.as_str(), now)))
            .await
    }
}

fn is_at(found: Option<&Stored>, expected: Version) -> bool {
    found.is_some_and(|stored| stored.record.version == expected)
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}
