//! A lane: one connection, one statement after the other, for as long as there are calls.

use std::{iter::Peekable, sync::Arc, time::Duration, vec};

use idem_core::store::StoreError;
use sqlx::postgres::PgRow;

use super::{
    Shared, detour,
    job::{Call, Reply},
    queue::Batch,
    under_way::UnderWay,
};
use crate::{
    call::{Argument, columns},
    connections::Connection,
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
    connection: Option<Connection>,
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
        loop {
            // Calls stay in their queue until there is a connection, so that they can be taken back.
            let connected = self.connect().await;
            let Some(batch) = self.next() else {
                return;
            };
            let calls = batch.groups.len();
            let batch = UnderWay {
                shared: Arc::clone(&self.shared),
                kind: batch.kind,
                groups: batch.groups,
            };
            match connected {
                Ok(()) => self.serve(batch).await,
                Err(error) => batch.answer_all(&Err(error)),
            }
            if calls > 1 {
                // Whoever was answered has its next call ready a moment later.
                tokio::task::yield_now().await;
            }
        }
    }

    fn next(&mut self) -> Option<Batch> {
        let batch = self.shared.queues().next_batch();
        self.given_up = batch.is_none();
        batch
    }

    async fn connect(&mut self) -> Result<(), StoreError> {
        if self.connection.as_ref().is_none_or(Connection::is_broken) {
            self.connection = None;
            self.connection = Some(self.shared.sessions.own().open().await?);
        }
        Ok(())
    }

    /// Sends a batch, and the halves of one that failed where that may concern one call alone.
    async fn serve(&mut self, batch: UnderWay) {
        let mut parts = vec![(batch, GUARD)];
        while let Some((mut part, guard)) = parts.pop() {
            match self.send(&part, guard).await {
                Ok(answers) => deliver(part, answers),
                Err(failure) if part.groups.len() > 1 && splits(&failure) => {
                    let guard = if waited_too_long(&failure) {
                        SEARCH_GUARD
                    } else {
                        guard
                    };
                    let half = part.split_off(part.groups.len() / 2);
                    parts.extend([(half, guard), (part, guard)]);
                }
                Err(failure) if waited_too_long(&failure) => detour::start(part),
                Err(failure) => part.answer_all(&Err(failure.into_store_error(Stage::Sent))),
            }
        }
    }

    async fn send(&mut self, batch: &UnderWay, guard: Duration) -> Result<Answers, Failure> {
        self.connect().await.map_err(Failure::Unsent)?;
        let connection = self.connection.as_mut().expect("it was made above");
        let sessions = &self.shared.sessions;
        let guard = guard.min(sessions.config().lock_timeout);
        let (sql, arguments) = statement(batch, guard);
        let rows = sessions.send(connection, sql, &arguments).await?;
        Ok(Answers::read(&rows))
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
