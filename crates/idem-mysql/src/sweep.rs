//! Giving back the room of expired records.
//!
//! Rows are looked for without a lock, and those that have expired are removed by their keys, in the
//! order in which claims lock rows too: so the two never wait for each other in a circle, and no live
//! row is locked.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::store::{StoreError, Sweep};
use idem_sql::{Range, Round, Sweeper, Walk};
use sqlx::{Row, mysql::MySqlRow};
use tokio::time::{Instant, sleep};

use crate::{
    MySqlStore,
    error::{DEADLOCK, LOCK_WAIT_TIMEOUT},
    read::unreadable,
    session::{Failure, Own, Sessions},
    sql,
};

/// How many rows one step looks through.
const LOOKED: usize = 2000;

/// How many rows one statement removes.
const ROWS: usize = 100;

/// A background sweeper rests for so many times as long as its last step took.
const REST: u32 = 4;

/// Held by the session of the server that sweeps this database.
const TAKE_TURN: &str = "SELECT GET_LOCK(CONCAT('idem-sweep-', SHA1(DATABASE())), 0)";

const END_TURN: &str = "SELECT RELEASE_LOCK(CONCAT('idem-sweep-', SHA1(DATABASE())))";

/// A key and a scope.
type Place = (Vec<u8>, Vec<u8>);

/// One process' way around the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sweeping {
    sessions: Sessions,
    walk: Arc<Walk<Place>>,
}

/// What one step did.
struct Step {
    removed: usize,
    at_end: bool,
}

#[async_trait]
impl Sweep for MySqlStore {
    /// Goes on where the last call ended, and at most twice around the table.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let mut own = self.sessions().own().spare().await?;
        let (mut removed, mut ends) = (0, 0);
        while removed < limit && ends < 2 {
            let step = self.sweeping().step(&mut own, limit - removed).await?;
            removed += step.removed;
            ends += usize::from(step.at_end);
        }
        Ok(removed)
    }
}

impl MySqlStore {
    /// Removes expired records in the background for as long as the returned handle is kept: about
    /// once per `period` (at most a day), at a random time, resting between its steps four times as
    /// long as they take.
    ///
    /// A store that was made by [`connect`](Self::connect) does this by itself, as
    /// [`sweep_every`](crate::MySqlConfig::sweep_every) says. Any number of processes may do so: one of
    /// them sweeps at a time, and the others skip their turn. Counts what it removes as
    /// `idem_mysql_swept_total`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "the sweeper stops when its handle is dropped"]
    pub fn sweep_in_background(&self, period: Duration) -> Sweeper {
        Sweeper::start(self.sweeping().clone(), period)
    }
}

/// The turn to sweep, and the session that has it.
struct Turn {
    own: Own,
    over: bool,
}

impl Drop for Turn {
    /// A session that still has the turn is closed, which ends it.
    fn drop(&mut self) {
        if !self.over {
            drop(self.own.take());
        }
    }
}

impl Round for Sweeping {
    async fn around(&self) -> Result<(), StoreError> {
        let mut turn = Turn {
            own: self.sessions.own().spare().await?,
            over: false,
        };
        let taken = self.sessions.read(&mut turn.own, TAKE_TURN.to_owned());
        let taken = taken.await.map_err(Failure::into_store_error)?;
        let taken: Option<i64> = match taken.first() {
            Some(row) => row.try_get(0).map_err(unreadable)?,
            None => None,
        };
        if taken == Some(1) {
            self.all(&mut turn.own).await?;
            let ended = self.sessions.read(&mut turn.own, END_TURN.to_owned());
            ended.await.map_err(Failure::into_store_error)?;
        } else {
            tracing::debug!("another process sweeps");
        }
        turn.over = true;
        Ok(())
    }
}

impl Sweeping {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self {
            sessions,
            walk: Arc::default(),
        }
    }

    async fn all(&self, own: &mut Own) -> Result<(), StoreError> {
        loop {
            let started = Instant::now();
            if self.step(own, usize::MAX).await?.at_end {
                return Ok(());
            }
            sleep(started.elapsed().saturating_mul(REST)).await;
        }
    }

    /// Looks through a range of rows, and removes those that have expired.
    async fn step(&self, own: &mut Own, limit: usize) -> Result<Step, StoreError> {
        let (key, scope) = self.walk.place();
        let rows = self
            .sessions
            .read_behind(own, sql::look(), (&key, &scope), LOOKED)
            .await;
        let rows = rows.map_err(Failure::into_store_error)?;
        let read = |row: &MySqlRow| {
            let place: Place = (row.try_get(0)?, row.try_get(1)?);
            Ok((place, row.try_get::<i64, _>(2)? == 1))
        };
        let looked: Result<Vec<_>, sqlx::Error> = rows.iter().map(read).collect();
        let range = Range::of(looked.map_err(unreadable)?, rows.len() < LOOKED, limit);
        let mut removed = 0;
        for some in range.expired.chunks(ROWS) {
            removed += self.remove(own, some).await?;
        }
        let at_end = range.at_end;
        self.walk.done(range);
        metrics::counter!("idem_mysql_swept_total").increment(removed as u64);
        Ok(Step { removed, at_end })
    }

    /// Rows that somebody holds are left for the next time.
    async fn remove(&self, own: &mut Own, places: &[Place]) -> Result<usize, StoreError> {
        let removed = self.sessions.write(own, sql::remove(places)).await;
        match removed {
            Ok(removed) => Ok(usize::try_from(removed).unwrap_or(usize::MAX)),
            Err(failure) if matches!(failure.number(), Some(LOCK_WAIT_TIMEOUT | DEADLOCK)) => Ok(0),
            Err(failure) => Err(failure.into_store_error()),
        }
    }
}
