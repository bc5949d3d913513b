//! A lane: one connection, one statement after the other, for as long as there are calls.

use std::{iter::Peekable, sync::Arc, time::Duration, vec};

use idem_core::StoreError;
use sqlx::{Postgres, pool::PoolConnection, postgres::PgRow};

use super::{
    Shared, detour,
    job::{Call, Reply},
    queue::Batch,
    under_way::UnderWay,
};
use crate::{
    call::{Argument, columns},
    error::{Stage, splits, waited_too_long},
    rows::{Answer, answer},
    session::Failure,
};

/// How long a lane waits for a lock before it sends the call on a detour: longer than any commit,
/// for all that it meets in the common case is another process' claim of the same key.
const GUARD: Duration = Duration::from_millis(50);

/// The same, while it looks for the call whose row is locked.
const SEARCH_GUARD: Duration = Duration::from_millis(5);

pub(super) struct Lane {
    shared: Arc<Shared>,
    connection: Option<PoolConnection<Postgres>>,
    given_up: bool,
}

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

impl Lane {
    /// A lane that was taken.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            connection: None,
            given_up: false,
        }
    }

    pub(super) async fn run(mut self) {
        while let Some(batch) = self.next() {
            let calls = batch.groups.len();
            self.serve(batch).await;
            if calls > 1 {
                // Whoever was answered has its next call ready a moment later.
                tokio::task::yield_now().await;
            }
        }
        if let Some(connection) = self.connection.take() {
            self.shared.parked.put(connection, &self.shared.sessions);
        }
    }

    fn next(&mut self) -> Option<Batch> {
        let batch = self.shared.queues().next_batch();
        self.given_up = batch.is_none();
        batch
    }

    async fn serve(&mut self, batch: Batch) {
        let under_way = |groups| UnderWay {
            shared: Arc::clone(&self.shared),
            kind: batch.kind,
            groups,
        };
        for group in batch.detours {
            detour::start(under_way(vec![group]));
        }
        let mut parts = vec![(under_way(batch.groups), GUARD)];
        while let Some((mut part, guard)) = parts.pop() {
            if part.groups.is_empty() {
                continue;
            }
            match self.send(&part, guard).await {
                Ok(answers) => deliver(part, answers),
                Err(Trouble::Failure(failure)) if part.groups.len() > 1 && splits(&failure) => {
                    let guard = if waited_too_long(&failure) {
                        SEARCH_GUARD
                    } else {
                        guard
                    };
                    let half = part.split_off(part.groups.len() / 2);
                    parts.extend([(half, guard), (part, guard)]);
                }
                Err(Trouble::Failure(failure)) if waited_too_long(&failure) => detour::start(part),
                Err(trouble) => part.answer_all(&Err(trouble.into_store_error())),
            }
        }
    }

    /// Sends the statement of a batch. A connection that broke is not used again.
    async fn send(&mut self, batch: &UnderWay, guard: Duration) -> Result<Answers, Trouble> {
        let sessions = &self.shared.sessions;
        if self.connection.is_none() {
            self.connection = match self.shared.parked.take() {
                Some(connection) => Some(connection),
                None => Some(sessions.acquire().await.map_err(Trouble::Unsent)?),
            };
        }
        let connection = self.connection.as_mut().expect("it was made above");
        let guard = guard.min(sessions.config().lock_timeout);
        let (sql, arguments) = statement(batch, guard);
        match sessions.send(connection, sql, &arguments).await {
            Ok(rows) => Ok(Answers::read(&rows)),
            Err(failure) => {
                if failure.ends_session() {
                    drop(self.connection.take().map(PoolConnection::detach));
                }
                Err(Trouble::Failure(failure))
            }
        }
    }
}

impl Drop for Lane {
    /// A runtime that goes down drops its lanes, and calls of other runtimes may be waiting for
    /// them: each goes on in its own.
    fn drop(&mut self) {
        if !self.given_up {
            let left = self.shared.queues().lose_lane();
            left.into_iter().for_each(Call::hand_back);
        }
    }
}

/// Why a batch has no answers.
enum Trouble {
    /// It was not sent.
    Unsent(StoreError),
    Failure(Failure),
}

impl Trouble {
    fn into_store_error(self) -> StoreError {
        match self {
            Self::Unsent(error) => error,
            Self::Failure(failure) => failure.into_store_error(Stage::Sent),
        }
    }
}

/// The statement for a batch and its arguments.
pub(super) fn statement(batch: &UnderWay, guard: Duration) -> (&Arc<str>, Vec<Argument<'_>>) {
    let kind = batch.kind;
    let statement = kind.statement(batch.shared.sessions.sql());
    let (sql, mut arguments, may_wait) = match &*batch.groups {
        [group] => {
            let mut row = Vec::new();
            group.write_row(kind, &mut row);
            let row = row.into_iter().map(Argument::One).collect();
            (&statement.one, row, kind.one_may_wait())
        }
        groups => {
            let columns = columns(groups, |group, row| group.write_row(kind, row));
            (&statement.many, columns, kind.many_may_wait())
        }
    };
    if may_wait {
        arguments.push(Argument::lock_timeout(guard));
    }
    (sql, arguments)
}

/// Hands the answers out.
fn deliver(mut batch: UnderWay, mut answers: Answers) {
    let groups = std::mem::take(&mut batch.groups);
    let mut released = Vec::with_capacity(groups.len());
    let mut undecided = Vec::new();
    for (place, group) in groups.into_iter().enumerate() {
        let reply = answers.take(place);
        if group.is_undecided(batch.kind, &reply) {
            undecided.push(group);
        } else {
            released.push(group.settle(batch.kind, reply));
        }
    }
    batch.release(released);
    for group in undecided {
        detour::start(batch.alone(group));
    }
}
