//! Giving back the room of expired records.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use idem_core::store::{StoreError, Sweep};
use idem_sql::{Round, Sweeper};
use sqlx::Row;
use tokio::time::{Instant, sleep};

use crate::{
    PostgresStore,
    call::{Argument, Scalar},
    rows::unreadable,
    session::Sessions,
};

/// How many pages of the table one statement looks through: 8 MiB.
const PAGES: i64 = 1024;

/// How many rows one statement removes at most.
const ROWS: usize = 1000;

/// A background sweeper rests for so many times as long as its last statement took, so that it
/// takes a small share of the server whatever the server can do.
const REST: u32 = 4;

/// For how long a process has the turn to sweep, after each of its statements.
const TURN: Duration = Duration::from_secs(30);

/// One process' way around the table. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sweeping {
    sessions: Sessions,
    /// Where it goes on. Each process starts elsewhere.
    place: Arc<AtomicI64>,
    /// Tells this process from others.
    owner: i64,
}

/// What one statement did.
struct Swept {
    rows: usize,
    /// Where the next one goes on.
    next: i64,
    /// How many pages it looked through; none when rows are left there.
    looked: i64,
    /// How many pages the table has.
    pages: i64,
}

#[async_trait]
impl Sweep for PostgresStore {
    /// Goes once around the table at most, a range of pages after the other. Rows that are locked
    /// are left for the next time.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let (mut swept, mut looked) = (0, 0);
        while swept < limit {
            let step = self.sweeping().step((limit - swept).min(ROWS)).await?;
            swept += step.rows;
            looked += step.looked;
            if looked >= step.pages {
                break;
            }
        }
        Ok(swept)
    }
}

impl PostgresStore {
    /// Removes expired records in the background for as long as the returned handle is kept: about
    /// once per `period` (at most a day), at a random time, resting between its statements four times
    /// as long as they take.
    ///
    /// A store that was made by [`connect`](Self::connect) does this by itself, as
    /// [`sweep_every`](crate::PostgresConfig::sweep_every) says. Any number of processes may do so:
    /// one of them sweeps at a time, and the others skip their turn. Counts what it removes as
    /// `idem_postgres_swept_total`, and says how far it has got as `idem_postgres_sweep_progress`.
    ///
    /// ```no_run
    /// # async fn example(pool: sqlx::PgPool) {
    /// use std::time::Duration;
    /// use idem_postgres::PostgresStore;
    ///
    /// let store = PostgresStore::new(pool);
    /// let _sweeper = store.sweep_in_background(Duration::from_secs(60));
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "the sweeper stops when its handle is dropped"]
    pub fn sweep_in_background(&self, period: Duration) -> Sweeper {
        Sweeper::start(self.sweeping().clone(), period)
    }
}

impl Round for Sweeping {
    /// Goes once around the table, without haste, as long as no other process does.
    async fn around(&self) -> Result<(), StoreError> {
        let (mut swept, mut looked) = (0, 0);
        loop {
            let started = Instant::now();
            if !self.take_turn().await? {
                tracing::debug!("another process sweeps");
                return Ok(());
            }
            let step = self.step(ROWS).await?;
            swept += step.rows;
            looked += step.looked;
            let pages = step.pages.max(1);
            #[expect(clippy::cast_precision_loss, reason = "a share for a gauge")]
            metrics::gauge!("idem_postgres_sweep_progress")
                .set((looked as f64 / pages as f64).min(1.0));
            if looked >= pages {
                tracing::debug!(swept, pages, "swept the table");
                return Ok(());
            }
            sleep(started.elapsed().saturating_mul(REST)).await;
        }
    }
}

impl Sweeping {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self {
            sessions,
            place: Arc::new(AtomicI64::new(i64::from(rand::random::<u32>()))),
            owner: rand::random(),
        }
    }

    /// Whether no other process swept within the last [`TURN`]. It then has the turn.
    async fn take_turn(&self) -> Result<bool, StoreError> {
        let turn = i64::try_from(TURN.as_millis()).unwrap_or(i64::MAX);
        let arguments =
            [self.owner, turn].map(|argument| Argument::One(Scalar::Int(Some(argument))));
        let sql: &Arc<str> = &self.sessions.sql().sweep_turn;
        Ok(!self.sessions.ask(sql, &arguments).await?.is_empty())
    }

    /// Sweeps a range of pages, or as much of it as the limit says.
    async fn step(&self, limit: usize) -> Result<Swept, StoreError> {
        let from = self.place.load(Ordering::Relaxed);
        let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut step = self.range(from, limit_rows).await?;
        if from >= step.pages && from != 0 {
            // The table ends before this: on from its start.
            step = self.range(from % step.pages.max(1), limit_rows).await?;
        }
        self.place.store(step.next, Ordering::Relaxed);
        metrics::counter!("idem_postgres_swept_total").increment(step.rows as u64);
        Ok(step)
    }

    async fn range(&self, from: i64, limit: i64) -> Result<Swept, StoreError> {
        let to = from + PAGES;
        let [first, last] = [from, to].map(|page| format!("({page},0)"));
        let arguments = [
            Argument::One(Scalar::Text(&first)),
            Argument::One(Scalar::Text(&last)),
            Argument::One(Scalar::Int(Some(limit))),
        ];
        let sql: &Arc<str> = &self.sessions.sql().sweep;
        let rows = self.sessions.ask(sql, &arguments).await?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::unknown("the server gave no answer"))?;
        let removed: i64 = row.try_get(0).map_err(unreadable)?;
        let pages: i64 = row.try_get(1).map_err(unreadable)?;
        let emptied = removed < limit;
        let end = to.min(pages);
        Ok(Swept {
            rows: usize::try_from(removed).unwrap_or(0),
            next: match emptied {
                true if end >= pages => 0,
                true => end,
                false => from,
            },
            looked: if emptied { (end - from).max(0) } else { 0 },
            pages,
        })
    }
}
