//! [`SqliteStore`].

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{
        Created, Deleted, Record, Store, StoreError, StoreErrorKind, Stored, Updated, Version,
    },
};
use idem_sql::{
    Stage, Sweeper,
    batch::{self, Answer, Batcher, Job},
};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::{
    SqliteConfig,
    batch::{Reader, Writer, limits},
    error::store_error,
    files::{File, refuse_memory, with_knobs},
    sweep::Sweeping,
};

/// The largest payload or checkpoint that is written, in bytes. SQLite stores up to a gigabyte.
const LARGEST: usize = 500_000_000;

/// Records in an SQLite file.
///
/// Cheap to clone; clones share their connections and the transactions that calls travel in. Open a
/// file once in a process, or its writers wait for each other with pauses. It runs on the tokio
/// runtime that calls are made on.
///
/// Claims, renewals and endings have a few connections of the store's own: one that writes, and as many
/// as [`readers`](SqliteConfig::readers). The pool serves the transactional mode.
///
/// The file is in WAL mode. Keep its companions `…-wal` and `…-shm` beside it, and copy it with
/// `VACUUM INTO` or the `sqlite3` command's `.backup` while it is in use.
#[derive(Clone)]
pub struct SqliteStore {
    file: File,
    writer: Batcher<Writer>,
    reader: Batcher<Reader>,
    sweeping: Sweeping,
    /// Stops with the last clone.
    _sweeper: Option<Arc<Sweeper>>,
}

impl SqliteStore {
    /// Opens a file, or makes it: `sqlite:payments.db`, or `sqlite:///var/lib/app/payments.db`. Its
    /// tables, whose names begin with `idem_`, are made or brought up to date, beside whatever tables
    /// the application has there. The store has a pool of ten connections at most for transactions, and
    /// sweeps in the background until its last clone is dropped.
    ///
    /// # Errors
    /// [`Config`](idem_core::store::StoreErrorKind::Config) for a URL that cannot be read, a file that cannot
    /// be made, is on a network share, cannot be written to or is of a newer release, and a database in
    /// memory; [`Corrupt`](idem_core::store::StoreErrorKind::Corrupt) for a file that is not a database.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, SqliteConfig::default()).await
    }

    /// [`connect`](Self::connect) with other knobs.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, config: SqliteConfig) -> Result<Self, StoreError> {
        let options: SqliteConnectOptions = url
            .parse()
            .map_err(|error| store_error(error, Stage::Connecting))?;
        refuse_memory(url, options.get_filename())?;
        let options = match url.contains("mode=") {
            true => options,
            false => options.create_if_missing(true),
        };
        let options = with_knobs(options, &config);
        let pool = Self::pool_options().connect_lazy_with(options);
        Self::with_pool(pool, config).await
    }

    /// Pool options for an application that makes the pool itself.
    ///
    /// After some errors, such as a full disk, SQLite ends a transaction by itself, and the driver goes
    /// on counting it: the connection would never begin another. These options close it instead, when it
    /// is given back. It is not looked at again when it is taken: a file does not go away in between.
    #[must_use]
    pub fn pool_options() -> SqlitePoolOptions {
        let options = SqlitePoolOptions::new().test_before_acquire(false);
        options.after_release(|connection, _| {
            Box::pin(async move {
                sqlx::Connection::ping(&mut *connection).await?;
                Ok(!sqlx::Connection::is_in_transaction(connection))
            })
        })
    }

    /// A store for an application that has a pool already. The store's own connections are made with
    /// the pool's connect options, as the knobs say where the two differ. Make the pool with
    /// [`pool_options`](Self::pool_options), and its connections with `synchronous` FULL.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn with_pool(pool: SqlitePool, config: SqliteConfig) -> Result<Self, StoreError> {
        let file = File::open(pool, config).await.map_err(|error| {
            // What cannot be opened now is a wrong path, most likely.
            match error.kind() {
                StoreErrorKind::Unavailable if is_missing(&error) => {
                    StoreError::config("is the path right, and may it be written to?")
                        .with_source(error)
                }
                _ => error,
            }
        })?;
        let config = file.config();
        let one = const { NonZeroUsize::new(1).unwrap() };
        let sweeping = Sweeping::new(file.clone());
        let sweeper = config
            .sweep_every
            .map(|period| Arc::new(Sweeper::start(sweeping.clone(), period)));
        Ok(Self {
            writer: Batcher::new(Writer(file.clone()), limits(config, one)),
            reader: Batcher::new(Reader(file.clone()), limits(config, config.readers)),
            sweeping,
            _sweeper: sweeper,
            file,
        })
    }

    /// The pool that transactions take their connections from.
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        self.file.pool()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn sweeping(&self) -> &Sweeping {
        &self.sweeping
    }

    /// Reads when every write that is under way has ended.
    pub(crate) async fn behind_writes(&self, key: &RecordKey) -> batch::Reply {
        self.writer.submit(key.clone(), Job::Get).await
    }

    async fn read(&self, key: &RecordKey) -> batch::Reply {
        self.reader.submit(key.clone(), Job::Get).await
    }
}

/// Whether SQLite could not open the file.
fn is_missing(error: &StoreError) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<sqlx::Error>());
    source.and_then(crate::error::primary_code) == Some(14)
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(
        &self,
        key: &RecordKey,
        record: &Record,
        ttl: Duration,
    ) -> Result<Created, StoreError> {
        fits(record)?;
        if self.writer.has_seen(key)
            && let Some(Answer::Found(found)) = self.read(key).await?
        {
            return Ok(Created::Exists(found));
        }
        let record = record.clone();
        let job = Job::Create { record, ttl };
        batch::created(self.writer.submit(key.clone(), job).await)
    }

    async fn update(
        &self,
        key: &RecordKey,
        expected: Version,
        record: &Record,
        ttl: Duration,
    ) -> Result<Updated, StoreError> {
        fits(record)?;
        let record = record.clone();
        let job = Job::Update {
            expected,
            record,
            ttl,
        };
        batch::updated(self.writer.submit(key.clone(), job).await)
    }

    async fn delete(&self, key: &RecordKey, expected: Version) -> Result<Deleted, StoreError> {
        let job = Job::Delete { expected };
        batch::deleted(self.writer.submit(key.clone(), job).await)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Stored>, StoreError> {
        let reply = match self.read(key).await {
            // An update that came in time may be under way: ask behind it.
            Ok(Some(Answer::Expired)) => self.behind_writes(key).await,
            reply => reply,
        };
        batch::got(reply)
    }
}

/// Refuses a record that could not be stored.
pub(crate) fn fits(record: &Record) -> Result<(), StoreError> {
    match record.state.bytes() {
        0..=LARGEST => Ok(()),
        len => Err(StoreError::too_large(format!(
            "{len} bytes are more than the {LARGEST} that are stored"
        ))),
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("config", self.file.config())
            .finish_non_exhaustive()
    }
}
