//! Giving back the room of expired records.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    IdempotencyKey,
    store::{StoreError, Sweep},
};
use idem_sql::{Range, Round, Stage, Sweeper, Walk};
use sqlx::{Row, SqliteConnection};
use tokio::time::{Instant, sleep};

use crate::{
    SqliteStore,
    error::store_error,
    files::{File, begin, lost, roll_back, run},
    read::unreadable,
};

/// How many rows one step looks through.
const LOOKED: i64 = 2000;

/// A background sweeper rests for so many times as long as its last step took.
const REST: u32 = 4;

/// For how long a process has the turn to sweep, after each of its steps.
const TURN_MS: i64 = 30_000;

/// Reads no record, only the columns before it.
const LOOK: &str = "SELECT key, scope, expires_at FROM idem_records \
    WHERE (key, scope) > (?, ?) ORDER BY key, scope LIMIT ?";

const REMOVE: &str = "DELETE FROM idem_records WHERE key = ? AND scope = ? AND expires_at <= ?";

const TAKE_TURN: &str = "INSERT INTO idem_sweeper (one, owner, until_ms) VALUES (1, ?1, ?2) \
    ON CONFLICT (one) DO UPDATE SET owner = excluded.owner, until_ms = excluded.until_ms \
    WHERE idem_sweeper.owner = excluded.owner OR idem_sweeper.until_ms <= ?3";

/// A key and a scope.
type Place = (String, String);

/// One process' way around the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sweeping {
    file: File,
    walk: Arc<Walk<Place>>,
    /// Tells this process from others.
    owner: i64,
}

/// What one step did.
struct Step {
    removed: usize,
    at_end: bool,
}

#[async_trait]
impl Sweep for SqliteStore {
    /// Goes on where the last call ended, and at most twice around the table.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let sweeping = self.sweeping();
        let (mut removed, mut ends) = (0, 0);
        while removed < limit && ends < 2 {
            let step = sweeping.step(limit - removed).await?;
            removed += step.removed;
            ends += usize::from(step.at_end);
        }
        Ok(removed)
    }
}

impl SqliteStore {
    /// Removes expired records in the background for as long as the returned handle is kept: about
    /// once per `period`, resting between its steps four times as long as they take. For a store with
    /// [`sweep_every`](crate::SqliteConfig::sweep_every) set to `None`; any other does this by itself.
    ///
    /// Counts what it removes as `idem_sqlite_swept_total`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "the sweeper stops when its handle is dropped"]
    pub fn sweep_in_background(&self, period: Duration) -> Sweeper {
        Sweeper::start(self.sweeping().clone(), period)
    }
}

impl Round for Sweeping {
    async fn around(&self) -> Result<(), StoreError> {
        loop {
            let started = Instant::now();
            if !self.take_turn().await? {
                tracing::debug!("another process sweeps");
                return Ok(());
            }
            if self.step(usize::MAX).await?.at_end {
                return Ok(());
            }
            sleep(started.elapsed().saturating_mul(REST)).await;
        }
    }
}

impl Sweeping {
    pub(crate) fn new(file: File) -> Self {
        let random = IdempotencyKey::random();
        let owner = random.as_str().bytes().fold(0_i64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        Self {
            file,
            walk: Arc::default(),
            owner,
        }
    }

    /// Whether no other process swept within the last half minute. It then has the turn.
    async fn take_turn(&self) -> Result<bool, StoreError> {
        let owner = self.owner;
        let taken = self
            .write(async |connection, now| {
                let query = sqlx::query(TAKE_TURN)
                    .bind(owner)
                    .bind(now.saturating_add(TURN_MS))
                    .bind(now);
                Ok(query.execute(connection).await?.rows_affected())
            })
            .await?;
        Ok(taken > 0)
    }

    /// Looks through a range of rows without a lock, and removes those that have expired.
    async fn step(&self, limit: usize) -> Result<Step, StoreError> {
        let now = self.file.clock().now_ms();
        let rows = self.look(&self.walk.place()).await?;
        let are_last = rows.len() < usize::try_from(LOOKED).unwrap_or(usize::MAX);
        let rows = rows.into_iter();
        let looked = rows.map(|(place, expires)| (place, expires <= now));
        let range = Range::of(looked, are_last, limit);
        let removed = match range.expired.is_empty() {
            true => 0,
            false => self.remove(&range.expired).await?,
        };
        let at_end = range.at_end;
        self.walk.done(range);
        metrics::counter!("idem_sqlite_swept_total").increment(removed as u64);
        Ok(Step { removed, at_end })
    }

    async fn look(&self, (key, scope): &Place) -> Result<Vec<(Place, i64)>, StoreError> {
        let mut connection = self.file.own().spare().await?;
        let mut taken = connection.take().ok_or_else(lost)?;
        let query = sqlx::query(LOOK).bind(key).bind(scope).bind(LOOKED);
        let rows = query.fetch_all(&mut taken.0).await;
        connection.put(taken);
        let rows = rows.map_err(|error| store_error(error, Stage::Connecting))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let place: Place = (row.try_get(0)?, row.try_get(1)?);
            Ok((place, row.try_get(2)?))
        };
        let rows: Result<_, sqlx::Error> = rows.iter().map(read).collect();
        rows.map_err(unreadable)
    }

    async fn remove(&self, expired: &[Place]) -> Result<usize, StoreError> {
        self.write(async |connection, now| {
            let mut removed = 0;
            for (key, scope) in expired {
                let query = sqlx::query(REMOVE).bind(key).bind(scope).bind(now);
                removed += query.execute(&mut *connection).await?.rows_affected();
            }
            Ok(usize::try_from(removed).unwrap_or(usize::MAX))
        })
        .await
    }

    /// Writes in a transaction, at the time that it is given.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection, i64) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.file.own().spare().await?;
        let _turn = self.file.turn().await;
        let mut taken = connection.take().ok_or_else(lost)?;
        if let Err(error) = begin(&mut taken.0).await {
            connection.put(taken);
            return Err(error);
        }
        let now = self.file.clock().now_ms();
        let written = match work(&mut taken.0, now).await {
            Ok(written) => match run(&mut taken.0, "COMMIT").await {
                Ok(()) => Ok(written),
                Err(error) => Err(store_error(error, Stage::Sent)),
            },
            Err(error) => Err(store_error(error, Stage::Connecting)),
        };
        if written.is_ok() || roll_back(&mut taken.0).await {
            connection.put(taken);
        }
        written
    }
}
