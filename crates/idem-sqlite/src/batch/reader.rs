//! [`Reader`]: reads on a few connections of their own.

use std::collections::HashMap;

use idem_core::store::StoreError;
use idem_sql::{
    Stage,
    batch::{Group, Job, Kind, Lanes, Reply, UnderWay},
};

use super::{put, take};
use crate::{
    error::{splits, store_error},
    files::{File, Own},
    read::find,
};

/// What a reader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Get,
}

impl Kind for Read {
    const ALL: &'static [Self] = &[Self::Get];

    fn of(_job: &Job, _seen: bool, _raced: bool) -> Self {
        Self::Get
    }

    fn index(self) -> usize {
        0
    }

    fn creates(self) -> bool {
        false
    }

    fn reads(self) -> bool {
        true
    }
}

/// Sends reads.
pub(crate) struct Reader(pub(crate) File);

/// A connection that reads.
#[derive(Default)]
pub(crate) struct Reading(Option<Own>);

impl Lanes for Reader {
    const STORE: &'static str = "sqlite";

    type Kind = Read;
    type Lane = Reading;

    async fn ready(&self, lane: &mut Reading) -> Result<(), StoreError> {
        let mut taken = take(&self.0, &mut lane.0).await?;
        let checked = self.0.check_ledger(&mut taken.0).await;
        put(&mut lane.0, taken);
        checked
    }

    async fn serve(&self, lane: &mut Reading, batch: UnderWay<Self>) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            let replies = self.read(lane, part.groups()).await;
            parts.extend(part.settle_or_halve(replies, splits));
        }
    }
}

impl Reader {
    async fn read(
        &self,
        lane: &mut Reading,
        groups: &[Group<Read>],
    ) -> Result<Vec<Reply>, StoreError> {
        let mut taken = take(&self.0, &mut lane.0).await?;
        // Before the snapshot is taken: a row that is past its ttl by then may still have been
        // updated in time, by a transaction that is not committed yet. So *expired* decides nothing.
        let now = self.0.clock().now_ms();
        let keys: Vec<_> = groups.iter().map(Group::key).collect();
        let found = find(&mut taken.0, self.0.sql(), &keys).await;
        put(&mut lane.0, taken);
        let found = found.map_err(|error| store_error(error, Stage::Connecting))?;
        let mut answers = HashMap::with_capacity(found.len());
        for row in &found {
            if let Ok(place) = row.place() {
                answers.insert(place, row.answer(now));
            }
        }
        let replies = keys.iter().map(|key| {
            let answer = answers.remove(&(key.key(), key.scope()));
            answer.transpose()
        });
        Ok(replies.collect())
    }
}
