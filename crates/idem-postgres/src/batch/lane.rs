//! A lane: one connection, one statement after the other.

use std::{iter::Peekable, sync::Arc, time::Duration, vec};

use idem_core::store::StoreError;
use idem_sql::{
    Stage,
    batch::{Answer, Group, Kind as _, Lanes, Reply, UnderWay},
};
use sqlx::postgres::PgRow;

use super::{columns::write_row, detour, kind::Kind};
use crate::{
    call::{Argument, columns},
    error::{splits, waited_too_long},
    rows::answer,
    session::{Failure, Own, Sessions},
};

/// How long a lane waits for a lock before it sends the call on a detour: longer than any commit,
/// for all that it meets in the common case is another process' claim of the same key.
const GUARD: Duration = Duration::from_millis(50);

/// The same, while it looks for the call whose row is locked.
const SEARCH_GUARD: Duration = Duration::from_millis(5);

/// What the statement of a batch said.
struct Answers {
    /// Of some of its calls, by their places in ascending order.
    some: Peekable<vec::IntoIter<(usize, Result<Answer, StoreError>)>>,
    /// Of all others.
    others: Option<Answer>,
}

impl Answers {
    fn read(rows: &[PgRow]) -> Self {
        let (mut some, mut others) = (Vec::new(), None);
        for row in rows {
            let (n, said) = answer(row);
            match n.checked_sub(1) {
                Some(place) => some.push((place, said)),
                None => others = Some(Answer::Done),
            }
        }
        some.sort_unstable_by_key(|(place, _)| *place);
        Self {
            some: some.into_iter().peekable(),
            others,
        }
    }

    /// Of the call at this place, which is behind those that were asked for before.
    fn take(&mut self, place: usize) -> Reply {
        while self.some.next_if(|(next, _)| *next < place).is_some() {}
        match self.some.next_if(|(next, _)| *next == place) {
            Some((_, said)) => said.map(Some),
            None => Ok(self.others.clone()),
        }
    }
}

impl Lanes for Sessions {
    const STORE: &'static str = "postgres";

    type Kind = Kind;
    type Lane = Option<Own>;

    async fn ready(&self, lane: &mut Option<Own>) -> Result<(), StoreError> {
        if lane.as_ref().is_none_or(Own::is_broken) {
            *lane = None;
            *lane = Some(self.own().open().await?);
        }
        Ok(())
    }

    /// Sends a batch, and the halves of one that failed where that may concern one call alone.
    async fn serve(&self, lane: &mut Option<Own>, batch: UnderWay<Self>) {
        let mut parts = vec![(batch, GUARD)];
        while let Some((mut part, guard)) = parts.pop() {
            match self.send_batch(lane, &part, guard).await {
                Ok(mut answers) => {
                    let replies = (0..part.groups().len()).map(|place| answers.take(place));
                    let decides = |group: &Group<Kind>, reply: &Reply| !is_undecided(group, reply);
                    let undecided = part.settle_decided(replies, decides);
                    undecided.into_iter().for_each(detour::start);
                }
                Err(failure) if part.groups().len() > 1 && splits(&failure) => {
                    let guard = if waited_too_long(&failure) {
                        SEARCH_GUARD
                    } else {
                        guard
                    };
                    let half = part.split_off(part.groups().len() / 2);
                    parts.extend([(half, guard), (part, guard)]);
                }
                Err(failure) if waited_too_long(&failure) => detour::start(part),
                Err(failure) => part.answer_all(&Err(failure.into_store_error(Stage::Sent))),
            }
        }
    }
}

impl Sessions {
    async fn send_batch(
        &self,
        lane: &mut Option<Own>,
        batch: &UnderWay<Self>,
        guard: Duration,
    ) -> Result<Answers, Failure> {
        self.ready(lane).await.map_err(Failure::Unsent)?;
        let connection = lane.as_mut().expect("it was made above");
        let guard = guard.min(self.config().lock_timeout);
        let (sql, arguments) = statement(batch, guard);
        let rows = self.send(connection, sql, &arguments).await?;
        Ok(Answers::read(&rows))
    }
}

/// Whether somebody may be at work on the row, so that its lock has to be waited for: the statement
/// found the very version that it was to replace, or a row past its ttl.
pub(super) fn is_undecided(group: &Group<Kind>, reply: &Reply) -> bool {
    match reply {
        Ok(Some(Answer::Found(found))) => group.job().expected() == Some(&found.record.version),
        Ok(Some(Answer::Expired)) => !group.kind().creates(),
        _ => false,
    }
}

/// The statement for a batch and its arguments. All groups of a batch are of one kind.
pub(super) fn statement(
    batch: &UnderWay<Sessions>,
    guard: Duration,
) -> (&Arc<str>, Vec<Argument<'_>>) {
    let kind = batch.groups().first().map_or(Kind::Get, Group::kind);
    let statement = kind.statement(batch.lanes().sql());
    let (sql, mut arguments, may_wait) = match batch.groups() {
        [group] => {
            let mut row = Vec::new();
            write_row(group.job(), kind, group.key(), &mut row);
            let row = row.into_iter().map(Argument::One).collect();
            (&statement.one, row, kind.one_may_wait())
        }
        groups => {
            let columns = columns(groups, |group, row| {
                write_row(group.job(), kind, group.key(), row);
            });
            (&statement.many, columns, kind.many_may_wait())
        }
    };
    if may_wait {
        arguments.push(Argument::lock_timeout(guard));
    }
    (sql, arguments)
}
