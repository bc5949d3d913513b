//! [`Writer`]: writes in the transactions of one connection.

use std::collections::HashMap;

use idem_core::{RecordKey, store::StoreError};
use idem_sql::{
    Stage,
    batch::{Answer, Group, Job, Kind, Lanes, Reply, UnderWay},
    row::{Row, version},
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{Taken, put, take};
use crate::{
    error::{splits, store_error},
    files::{File, Own, Turn, begin, lost, roll_back, run},
    read::{find, place},
    sql::{Statement, query},
};

/// What the writer does. A transaction has calls of all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Create,
    Update,
    Delete,
    /// A read that has to be sure that no write is under way.
    Get,
}

impl Kind for Write {
    const ALL: &'static [Self] = &[Self::Create, Self::Update, Self::Delete, Self::Get];
    const MIXED: bool = true;

    fn of(job: &Job, _seen: bool, _raced: bool) -> Self {
        match job {
            Job::Create { .. } => Self::Create,
            Job::Update { .. } => Self::Update,
            Job::Delete { .. } => Self::Delete,
            Job::Get => Self::Get,
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn creates(self) -> bool {
        self == Self::Create
    }

    /// Nothing overtakes a write of its key: then a transaction has each key once.
    fn reads(self) -> bool {
        false
    }

    fn shares_answers(self) -> bool {
        matches!(self, Self::Create | Self::Get)
    }
}

/// Sends writes.
pub(crate) struct Writer(pub(crate) File);

/// The one connection that writes.
#[derive(Default)]
pub(crate) struct Writing {
    connection: Option<Own>,
    begun: Option<(Taken, Turn)>,
}

impl Lanes for Writer {
    const STORE: &'static str = "sqlite";

    type Kind = Write;
    type Lane = Writing;

    /// Begins a transaction. Whoever calls while the lock is waited for travels along.
    async fn ready(&self, lane: &mut Writing) -> Result<(), StoreError> {
        let turn = self.0.turn().await;
        let mut taken = take(&self.0, &mut lane.connection).await?;
        let begun = async {
            self.0.check_ledger(&mut taken.0).await?;
            begin(&mut taken.0).await
        };
        match begun.await {
            Ok(()) => {
                lane.begun = Some((taken, turn));
                Ok(())
            }
            Err(error) => {
                put(&mut lane.connection, taken);
                Err(error)
            }
        }
    }

    /// Sends a batch, and the halves of one that failed where that may concern one call alone.
    async fn serve(&self, lane: &mut Writing, batch: UnderWay<Self>) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let replies = self.transact(lane, part.groups()).await;
            parts.extend(part.settle_or_halve(replies, splits));
        }
    }

    /// Ends a transaction whose calls were all taken back.
    async fn rest(&self, lane: &mut Writing) {
        if let Some(((mut connection, runtime), _turn)) = lane.begun.take()
            && roll_back(&mut connection).await
        {
            put(&mut lane.connection, (connection, runtime));
        }
    }
}

impl Writer {
    async fn transact(
        &self,
        lane: &mut Writing,
        groups: &[Group<Write>],
    ) -> Result<Vec<Reply>, StoreError> {
        if lane.begun.is_none() {
            self.ready(lane).await?;
        }
        let (mut taken, _turn) = lane.begun.take().ok_or_else(lost)?;
        let worked = work(&self.0, &mut taken.0, groups).await;
        if worked.is_ok() || roll_back(&mut taken.0).await {
            put(&mut lane.connection, taken);
        }
        worked
    }
}

/// Performs the calls and commits.
async fn work(
    file: &File,
    connection: &mut SqliteConnection,
    groups: &[Group<Write>],
) -> Result<Vec<Reply>, StoreError> {
    // Under the write lock: no time in the file is later.
    let now = file.clock().now_ms();
    let mut batch = Batch::new(groups);
    let worked = async {
        batch.create(file, connection, now).await?;
        batch.update(file, connection, now).await?;
        batch.delete(file, connection, now).await?;
        batch.look(file, connection, now).await?;
        let to_note = file.clock().is_to_be_noted(now);
        if let Some(wall) = to_note {
            let note = format!("UPDATE idem_clock SET seen_ms = {now}, wall_ms = {wall}");
            run(connection, note).await?;
        }
        Ok(to_note.is_some())
    };
    let noted = worked
        .await
        .map_err(|error| store_error(error, Stage::Connecting))?;
    let committed = run(connection, "COMMIT").await;
    committed.map_err(|error| store_error(error, Stage::Sent))?;
    if noted {
        file.clock().was_noted(now);
    }
    Ok(batch.replies)
}

/// The calls of a transaction, and what is known of them.
struct Batch<'a> {
    groups: &'a [Group<Write>],
    /// By key and scope, their places.
    places: HashMap<(&'a str, &'a str), usize>,
    replies: Vec<Reply>,
}

impl<'a> Batch<'a> {
    fn new(groups: &'a [Group<Write>]) -> Self {
        let keys = groups.iter().map(Group::key);
        let places = keys.map(|key| (key.key(), key.scope())).zip(0..).collect();
        Self {
            groups,
            places,
            replies: groups.iter().map(|_| Ok(None)).collect(),
        }
    }

    async fn create(
        &mut self,
        file: &File,
        connection: &mut SqliteConnection,
        now: i64,
    ) -> Result<(), sqlx::Error> {
        let jobs = self.groups.iter().filter_map(|group| match group.job() {
            Job::Create { record, ttl } => Some((group.key(), Row::new(record, *ttl))),
            _ => None,
        });
        let jobs: Vec<_> = jobs.collect();
        for (sql, part) in file.sql().create.parts(&jobs) {
            let mut query = query(sql);
            for (key, row) in part {
                query = query.bind(key.key()).bind(key.scope());
                query = query.bind(&*row.version);
                query = query.bind(now).bind(now.saturating_add(row.ttl_ms));
                query = query.bind(row.status).bind(&row.body[..]);
            }
            self.done(&query.fetch_all(&mut *connection).await?);
        }
        Ok(())
    }

    async fn update(
        &mut self,
        file: &File,
        connection: &mut SqliteConnection,
        now: i64,
    ) -> Result<(), sqlx::Error> {
        let jobs = self.groups.iter().filter_map(|group| match group.job() {
            Job::Update {
                expected,
                record,
                ttl,
            } => Some((group.key(), version(*expected), Row::new(record, *ttl))),
            _ => None,
        });
        let jobs: Vec<_> = jobs.collect();
        for (sql, part) in file.sql().update.parts(&jobs) {
            let mut query = query(sql);
            for (key, expected, row) in part {
                query = query.bind(key.key()).bind(key.scope());
                query = query.bind(&**expected).bind(&*row.version);
                query = query.bind(now).bind(now.saturating_add(row.ttl_ms));
                query = query.bind(row.status).bind(&row.body[..]);
            }
            self.done(&query.fetch_all(&mut *connection).await?);
        }
        Ok(())
    }

    async fn delete(
        &mut self,
        file: &File,
        connection: &mut SqliteConnection,
        now: i64,
    ) -> Result<(), sqlx::Error> {
        let jobs = self.groups.iter().filter_map(|group| match group.job() {
            Job::Delete { expected } => Some((group.key(), version(*expected))),
            _ => None,
        });
        let jobs: Vec<_> = jobs.collect();
        let delete: &Statement = &file.sql().delete;
        for (sql, part) in delete.parts(&jobs) {
            let mut query = query(sql).bind(now);
            for (key, expected) in part {
                query = query.bind(key.key()).bind(key.scope());
                query = query.bind(&**expected);
            }
            self.done(&query.fetch_all(&mut *connection).await?);
        }
        Ok(())
    }

    /// Looks what is there instead, for all calls that did nothing yet.
    async fn look(
        &mut self,
        file: &File,
        connection: &mut SqliteConnection,
        now: i64,
    ) -> Result<(), sqlx::Error> {
        let left = self.groups.iter().zip(&self.replies);
        let left = left.filter(|(_, reply)| matches!(reply, Ok(None)));
        let keys: Vec<&RecordKey> = left.map(|(group, _)| group.key()).collect();
        for found in find(connection, file.sql(), &keys).await? {
            let Some(place) = self.place(found.place()) else {
                continue;
            };
            self.replies[place] = match found.answer(now) {
                // Nobody else writes: it is absent.
                Ok(Answer::Expired) => Ok(None),
                answer => answer.map(Some),
            };
        }
        Ok(())
    }

    /// The calls with these keys did what they were asked to.
    fn done(&mut self, rows: &[SqliteRow]) {
        for row in rows {
            if let Some(place) = self.place(place(row)) {
                self.replies[place] = Ok(Some(Answer::Done));
            }
        }
    }

    fn place(&self, key: Result<(&str, &str), StoreError>) -> Option<usize> {
        self.places.get(&key.ok()?).copied()
    }
}
