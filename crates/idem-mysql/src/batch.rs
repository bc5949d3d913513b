//! How calls travel: many in one statement, which is a transaction of its own.

mod alone;

use std::collections::{HashMap, VecDeque};

use idem_core::{RecordKey, store::StoreError};
use idem_sql::{
    batch::{Answer, Group, Job, Kind, LARGE, Lanes, Limits, Reply, UnderWay},
    row::{Row, version},
};

use crate::{
    MySqlConfig,
    error::{DEADLOCK, LOCK_WAIT_TIMEOUT, concerns_one},
    read::Found,
    session::{Failure, Own, Sessions},
    sql::{self, Replacement},
};

/// How often a statement is sent again that the server gave up to end a deadlock.
const MAX_DEADLOCKS: usize = 20;

/// Into how many parts a batch is cut that waited too long for one row.
const PARTS: usize = 16;

/// Calls that fit into one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    /// Updates and deletes.
    Replace,
    Get,
    /// A read of a row that was seen past its ttl: waits for whoever may be writing to it.
    GetDecided,
}

impl Kind for Call {
    const ALL: &'static [Self] = &[Self::Create, Self::Replace, Self::Get, Self::GetDecided];

    fn of(job: &Job, _seen: bool, raced: bool) -> Self {
        match job {
            Job::Create { .. } => Self::Create,
            Job::Update { .. } | Job::Delete { .. } => Self::Replace,
            Job::Get if raced => Self::GetDecided,
            Job::Get => Self::Get,
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    fn creates(self) -> bool {
        self == Self::Create
    }

    fn reads(self) -> bool {
        matches!(self, Self::Get | Self::GetDecided)
    }

    fn has_raced(self, reply: &Reply) -> bool {
        match self {
            Self::Create => matches!(reply, Ok(None | Some(Answer::Expired))),
            Self::Get => matches!(reply, Ok(Some(Answer::Expired))),
            Self::Replace | Self::GetDecided => false,
        }
    }
}

pub(crate) fn limits(config: &MySqlConfig) -> Limits {
    Limits {
        lanes: config.lanes,
        rows: config.batch_rows,
        bytes: config.batch_bytes,
        large: LARGE,
        send_timeout: config.send_timeout,
    }
}

impl Lanes for Sessions {
    const STORE: &'static str = "mysql";

    type Kind = Call;
    type Lane = Option<Own>;

    async fn ready(&self, lane: &mut Option<Own>) -> Result<(), StoreError> {
        if lane.as_ref().is_none_or(Own::is_broken) {
            *lane = Some(self.own().open().await?);
        }
        if self.ledger().is_known() {
            return Ok(());
        }
        let Some((own, mut taken)) = lane.as_mut().and_then(|own| {
            let taken = own.take()?;
            Some((own, taken))
        }) else {
            return Ok(());
        };
        let checked = self.check_ledger(&mut taken.0).await;
        own.put(taken);
        checked
    }

    /// Sends a batch, and the parts of one that failed where that may concern one call alone.
    async fn serve(&self, lane: &mut Option<Own>, batch: UnderWay<Self>) {
        let mut parts = VecDeque::from([batch]);
        while let Some(part) = parts.pop_front() {
            match self.send_batch(lane, part.groups()).await {
                Ok(replies) => part.settle(replies),
                Err(failure) if part.groups().len() > 1 && splits(&failure) => {
                    parts.extend(cut(part));
                }
                Err(failure) => part.answer_all(&Err(failure.into_store_error())),
            }
        }
    }
}

/// Whether a batch may go through without one of its calls.
fn splits(failure: &Failure) -> bool {
    match failure {
        Failure::Unsent(error) => error.kind() == idem_core::store::StoreErrorKind::TooLarge,
        failure => failure
            .number()
            .is_some_and(|number| number == LOCK_WAIT_TIMEOUT || concerns_one(number)),
    }
}

fn cut(mut part: UnderWay<Sessions>) -> Vec<UnderWay<Sessions>> {
    let size = part.groups().len().div_ceil(PARTS);
    let mut parts = Vec::with_capacity(PARTS);
    while part.groups().len() > size {
        let rest = part.split_off(size);
        parts.push(part);
        part = rest;
    }
    parts.push(part);
    parts
}

impl Sessions {
    async fn send_batch(
        &self,
        lane: &mut Option<Own>,
        groups: &[Group<Call>],
    ) -> Result<Vec<Reply>, Failure> {
        let mut deadlocks = 0;
        loop {
            self.ready(lane).await.map_err(Failure::Unsent)?;
            let Some(own) = lane.as_mut() else {
                return Err(Failure::Unsent(crate::session::lost()));
            };
            let sent = match groups.first().map(Group::kind) {
                Some(Call::Create) => self.create(own, groups).await,
                Some(Call::Replace) => self.replace(own, groups).await,
                Some(kind) => self.get(own, kind, groups).await,
                None => return Ok(Vec::new()),
            };
            match sent {
                Err(failure) if failure.number() == Some(DEADLOCK) && deadlocks < MAX_DEADLOCKS => {
                    deadlocks += 1;
                    metrics::counter!("idem_mysql_deadlocks_total").increment(1);
                }
                sent => return sent,
            }
        }
    }

    async fn create(&self, own: &mut Own, groups: &[Group<Call>]) -> Result<Vec<Reply>, Failure> {
        let writer = rand::random();
        let rows = groups.iter().filter_map(|group| match group.job() {
            Job::Create { record, ttl } => Some((group.key(), Row::new(record, *ttl))),
            _ => None,
        });
        let mut rows: Vec<_> = rows.collect();
        if let [(key, row)] = &rows[..] {
            return Ok(vec![self.create_alone(own, key, row, writer).await?]);
        }
        rows.sort_unstable_by_key(|(key, _)| (key.key(), key.scope()));
        let statement = self.in_a_hurry(sql::create(&rows, writer));
        self.fits(statement.len(), rows.len())?;
        let keys: Vec<_> = rows.iter().map(|(key, _)| *key).collect();
        let read = sql::find(&keys, writer);
        let found = self.write_and_read(own, &statement, &read).await?;
        let found: Vec<_> = found.into_iter().map(Found::new).collect();
        Ok(replies(groups, &found, |found| found.answer_to(writer)))
    }

    async fn replace(&self, own: &mut Own, groups: &[Group<Call>]) -> Result<Vec<Reply>, Failure> {
        let writer = rand::random();
        let rows = groups.iter().filter_map(|group| {
            let (expected, row) = match group.job() {
                Job::Update {
                    expected,
                    record,
                    ttl,
                } => (expected, Some(Row::new(record, *ttl))),
                Job::Delete { expected } => (expected, None),
                Job::Create { .. } | Job::Get => return None,
            };
            Some(Replacement {
                key: group.key(),
                expected: version(*expected).to_vec(),
                row,
            })
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable_by_key(|row| (row.key.key(), row.key.scope()));
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        let written = match &rows[..] {
            [
                Replacement {
                    key,
                    expected,
                    row: Some(row),
                },
            ] => self.replace_alone(own, key, expected, row, writer).await?,
            rows => {
                let statement = sql::replace(rows, writer);
                let statement = match rows.len() {
                    1 => statement,
                    _ => self.in_a_hurry(statement),
                };
                self.fits(statement.len(), rows.len())?;
                self.write(own, statement).await?
            }
        };
        if written == groups.len() as u64 {
            return Ok(groups.iter().map(|_| Ok(Some(Answer::Done))).collect());
        }
        // Behind whoever is writing to them: a row that has expired is then absent.
        let read = self.read(own, sql::find_decided(&keys, writer)).await;
        let found = read.map_err(Failure::half_way)?;
        let found: Vec<_> = found.into_iter().map(Found::new).collect();
        let there = found.iter().filter(|row| row.is_by(writer)).count() as u64;
        let answered = replies(groups, &found, |found| found.answer_to(writer));
        let mut replies = decided(answered);
        if there < written {
            // Some were replaced or removed since: which of the others were written, nobody can tell.
            let others = replies.iter_mut();
            for reply in others.filter(|reply| !matches!(reply, Ok(Some(Answer::Done)))) {
                *reply = Err(StoreError::unknown(
                    "another write to the record came before this one was read back",
                ));
            }
        }
        Ok(replies)
    }

    async fn get(
        &self,
        own: &mut Own,
        kind: Call,
        groups: &[Group<Call>],
    ) -> Result<Vec<Reply>, Failure> {
        let mut keys: Vec<_> = groups.iter().map(Group::key).collect();
        keys.sort_unstable_by_key(|key| (key.key(), key.scope()));
        // No statement has this number, since a read writes nothing.
        let writer = rand::random();
        let sql = match kind {
            Call::GetDecided => sql::find_decided(&keys, writer),
            _ => sql::find(&keys, writer),
        };
        let found = self.read(own, sql).await?;
        let found: Vec<_> = found.into_iter().map(Found::new).collect();
        let answers = replies(groups, &found, Found::answer);
        Ok(match kind {
            Call::GetDecided => decided(answers),
            _ => answers,
        })
    }

    /// Has a statement for many calls wait for no lock, so that one row that somebody holds keeps no
    /// other waiting: they go on in parts. MySQL knows no wait that is shorter than a second.
    fn in_a_hurry(&self, statement: String) -> String {
        match self.is_mariadb() {
            true => format!("SET STATEMENT innodb_lock_wait_timeout = 0 FOR {statement}"),
            false => statement,
        }
    }

    /// Refuses a statement that the server would not take.
    fn fits(&self, len: usize, rows: usize) -> Result<(), Failure> {
        let largest = self.largest_payload();
        if len <= largest || (rows == 1 && len <= largest.saturating_add(4 << 10)) {
            return Ok(());
        }
        Err(Failure::Unsent(StoreError::too_large(format!(
            "{len} bytes are more than fit into the server's `max_allowed_packet`"
        ))))
    }

    /// The record of a key, once nobody is writing to it.
    pub(crate) async fn settled(&self, key: &RecordKey) -> Result<Reply, StoreError> {
        let mut own = self.own().spare().await?;
        let sql = sql::find_decided(&[key], rand::random());
        let found = self.read(&mut own, sql).await;
        let found = found.map_err(Failure::into_store_error)?;
        let answer = found.into_iter().next().map(|row| Found::new(row).answer());
        Ok(decided(vec![answer.transpose()]).remove(0))
    }
}

/// A row that was read behind whoever might write to it is absent past its ttl.
fn decided(mut replies: Vec<Reply>) -> Vec<Reply> {
    for reply in &mut replies {
        if matches!(reply, Ok(Some(Answer::Expired))) {
            *reply = Ok(None);
        }
    }
    replies
}

/// One reply for each group, from the row of its key.
fn replies(
    groups: &[Group<Call>],
    rows: &[Found],
    answer: impl Fn(&Found) -> Result<Answer, StoreError>,
) -> Vec<Reply> {
    let mut answers = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Ok(place) = row.place() {
            answers.insert(place, answer(row));
        }
    }
    let replies = groups.iter().map(|group| {
        let key = group.key();
        let place = (key.key().as_bytes(), key.scope().as_bytes());
        answers.remove(&place).transpose()
    });
    replies.collect()
}
