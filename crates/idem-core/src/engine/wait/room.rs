//! Rooms: who waits alike in this process, and what they are told.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::lead::Lead;
use crate::{Fingerprint, RecordKey, Refused, engine::Claim, error::ClaimError};

/// Who waits for which key in this process.
#[derive(Default)]
pub(crate) struct Waiters {
    rooms: Mutex<HashMap<RecordKey, Vec<Arc<Room>>>>,
    waiting: AtomicUsize,
}

/// Those who wait for one key with the same fingerprint and policy.
pub(super) struct Room {
    alike: Alike,
    /// Held by whoever leads, handed on in the order of arrival.
    pub(super) lead: tokio::sync::Mutex<Lead>,
    /// This process changed the record.
    pub(super) changed: Notify,
    pub(super) news: watch::Sender<News>,
    /// How many sit here; counted under the lock of [`Waiters`].
    seats: AtomicUsize,
}

/// What two who share an answer have in common. The policy is told by its address, which a waiter's
/// engine keeps from being used for another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Alike {
    pub(super) fingerprint: Fingerprint,
    pub(super) policy: usize,
}

/// What a room knows.
pub(super) struct News {
    /// When it was last found in flight, and how much of the lease was left.
    in_flight: (Instant, Duration),
    over: Option<Over>,
    /// The last claim that failed, and when it began.
    pub(super) failed: Option<(Instant, ClaimError)>,
}

impl News {
    /// What ends the wait of somebody who came at this time. A claim that failed ends the wait of
    /// those who were there when it began: a claim of their own would have failed as well. Who came
    /// later has a budget of its own.
    pub(super) fn told(&self, came: Instant) -> Option<Result<Claim, ClaimError>> {
        if let Some(over) = &self.over {
            return Some(Ok(over.clone().into()));
        }
        let (_, error) = self.failed.as_ref().filter(|(began, _)| came <= *began)?;
        Some(Err(error.clone()))
    }
}

/// What everybody in a room is told: a [`Claim`] that gives no right to run.
#[derive(Clone)]
pub(super) enum Over {
    Replay(Bytes),
    ReplayFailure(Bytes),
    Refused(Refused),
}

impl From<Over> for Claim {
    fn from(over: Over) -> Self {
        match over {
            Over::Replay(payload) => Self::Replay(payload),
            Over::ReplayFailure(payload) => Self::ReplayFailure(payload),
            Over::Refused(refused) => Self::Refused(refused),
        }
    }
}

impl Waiters {
    /// Wakes whoever waits for this key. Call it after the store has taken the change.
    pub(crate) fn wake(&self, key: &RecordKey) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            for room in self.lock().get(key).into_iter().flatten() {
                room.changed.notify_one();
            }
        }
    }

    pub(super) fn enter<'a>(
        &'a self,
        key: &'a RecordKey,
        alike: Alike,
        left: Duration,
    ) -> Seat<'a> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut all = self.lock();
        let rooms = match all.get_mut(key) {
            Some(rooms) => rooms,
            None => all.entry(key.clone()).or_default(),
        };
        let room = match rooms.iter().find(|room| room.alike == alike) {
            Some(room) => Arc::clone(room),
            None => {
                let room = Arc::new(Room {
                    alike,
                    lead: Lead::default().into(),
                    changed: Notify::new(),
                    news: watch::Sender::new(News {
                        in_flight: (Instant::now(), left),
                        over: None,
                        failed: None,
                    }),
                    seats: AtomicUsize::new(0),
                });
                rooms.push(Arc::clone(&room));
                room
            }
        };
        room.seats.fetch_add(1, Ordering::SeqCst);
        Seat {
            waiters: self,
            key,
            room,
        }
    }

    /// Lets nobody in any more: who comes later is to ask anew.
    fn close(&self, key: &RecordKey, room: &Arc<Room>) {
        remove(&mut self.lock(), key, room);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordKey, Vec<Arc<Room>>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(all: &mut HashMap<RecordKey, Vec<Arc<Room>>>, key: &RecordKey, room: &Arc<Room>) {
    if let Some(rooms) = all.get_mut(key) {
        rooms.retain(|open| !Arc::ptr_eq(open, room));
        if rooms.is_empty() {
            all.remove(key);
        }
    }
}

/// One waiter's place in a room; the last one to leave closes it.
pub(super) struct Seat<'a> {
    waiters: &'a Waiters,
    pub(super) key: &'a RecordKey,
    pub(super) room: Arc<Room>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // Under the lock nobody enters meanwhile.
        let mut all = self.waiters.lock();
        if self.room.seats.fetch_sub(1, Ordering::SeqCst) == 1 {
            remove(&mut all, self.key, &self.room);
        }
        drop(all);
        self.waiters.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Room {
    /// What somebody who came at this time is told; in flight, as far as is known.
    pub(super) fn tell(&self, came: Instant) -> Result<Claim, ClaimError> {
        let news = self.news.borrow();
        news.told(came).unwrap_or_else(|| {
            let (seen, left) = news.in_flight;
            let retry_after = left.saturating_sub(seen.elapsed());
            Ok(Claim::Refused(Refused::InFlight { retry_after }))
        })
    }

    /// Notes that it is in flight; nobody need wake up for that.
    pub(super) fn still(&self, left: Duration) {
        self.news.send_if_modified(|news| {
            news.in_flight = (Instant::now(), left);
            false
        });
    }
}

impl Seat<'_> {
    /// Tells everybody in the room, and gives what it told.
    pub(super) fn end(&self, over: Over) -> Claim {
        self.waiters.close(self.key, &self.room);
        let told = Some(over.clone());
        self.room.news.send_modify(|news| news.over = told);
        over.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdempotencyKey, Scope};

    #[test]
    fn a_room_is_gone_with_its_last_waiter() {
        let waiters = Waiters::default();
        let key = Scope::global().key(&IdempotencyKey::random());
        let alike = |policy| Alike {
            fingerprint: Fingerprint::of("test/v1", b"a"),
            policy,
        };
        let seats = [1, 1, 2].map(|policy| waiters.enter(&key, alike(policy), Duration::ZERO));
        let rooms = || waiters.lock().get(&key).map_or(0, Vec::len);
        assert_eq!(rooms(), 2);
        let [first, second, other] = seats;
        drop((first, other));
        assert_eq!(rooms(), 1);
        drop(second);
        assert!(waiters.lock().is_empty());
    }
}
