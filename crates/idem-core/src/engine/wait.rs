//! Waiting for somebody else's ending: one asks the store for all who wait alike in this process.
//!
//! Whoever waits for the same key with the same fingerprint and policy sits in one [`Room`]. One of
//! them leads: it claims the key again and again, the others listen. An answer that the leader finds
//! is everybody's. A leader that gets to run leaves, and the next one leads on: nobody runs without
//! a claim of its own. A leader whose caller went away hands over by dropping its lock.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use super::{Claim, Idempotency, call::Budget, deadline::deadline};
use crate::{Fingerprint, RecordKey, Refused, error::ClaimError, store::Watcher};

/// Between two questions where the store tells of changes: what it tells may get lost.
const WATCHED_PAUSE: Duration = Duration::from_secs(2);

/// The least time between two questions that a watcher's hints bring about, and between the last
/// question and one at the end of a wait.
const FLOOR: Duration = Duration::from_millis(50);

/// Who waits for which key in this process.
#[derive(Default)]
pub(crate) struct Waiters {
    rooms: Mutex<HashMap<RecordKey, Vec<Arc<Room>>>>,
    waiting: AtomicUsize,
}

/// Those who wait for one key with the same fingerprint and policy.
struct Room {
    alike: Alike,
    /// Held by whoever leads, handed on in the order of arrival.
    lead: tokio::sync::Mutex<Lead>,
    /// This process changed the record.
    changed: Notify,
    news: watch::Sender<News>,
    /// How many sit here; counted under the lock of [`Waiters`].
    seats: AtomicUsize,
}

/// What two who share an answer have in common. The policy is told by its address, which a waiter's
/// engine keeps from being used for another one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Alike {
    fingerprint: Fingerprint,
    policy: usize,
}

/// What only the leader needs.
struct Lead {
    /// The store's notifications, once somebody asked for them.
    watcher: Option<Option<Box<dyn Watcher>>>,
    /// The next question, and the last one; none before the first.
    next: Option<Instant>,
    asked: Option<Instant>,
    /// A notification came since the last question.
    hinted: bool,
    /// The last question that a notification brought about.
    hint_taken: Option<Instant>,
    pauses: Budget,
}

/// What a room knows.
struct News {
    /// When it was last found in flight, and how much of the lease was left.
    in_flight: (Instant, Duration),
    over: Option<Over>,
    /// The last claim that failed, and when it began.
    failed: Option<(Instant, ClaimError)>,
}

impl News {
    /// What ends the wait of somebody who came at this time. A claim that failed ends the wait of
    /// those who were there when it began: a claim of their own would have failed as well. Who came
    /// later has a budget of its own.
    fn told(&self, came: Instant) -> Option<Result<Claim, ClaimError>> {
        if let Some(over) = &self.over {
            return Some(Ok(over.clone().into()));
        }
        let (_, error) = self.failed.as_ref().filter(|(began, _)| came <= *began)?;
        Some(Err(error.clone()))
    }
}

/// What everybody in a room is told: a [`Claim`] that gives no right to run.
#[derive(Clone)]
enum Over {
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

    fn enter<'a>(&'a self, key: &'a RecordKey, alike: Alike, left: Duration) -> Seat<'a> {
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
struct Seat<'a> {
    waiters: &'a Waiters,
    key: &'a RecordKey,
    room: Arc<Room>,
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
    fn tell(&self, came: Instant) -> Result<Claim, ClaimError> {
        let news = self.news.borrow();
        news.told(came).unwrap_or_else(|| {
            let (seen, left) = news.in_flight;
            let retry_after = left.saturating_sub(seen.elapsed());
            Ok(Claim::Refused(Refused::InFlight { retry_after }))
        })
    }

    /// Notes that it is in flight; nobody need wake up for that.
    fn still(&self, left: Duration) {
        self.news.send_if_modified(|news| {
            news.in_flight = (Instant::now(), left);
            false
        });
    }
}

impl Idempotency {
    /// Claims again and again until the key is free or ended, or `max` is over. `left` is what the
    /// caller's own claim said of the holder's lease.
    pub(super) async fn claim_waiting(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        max: Duration,
        left: Duration,
    ) -> Result<Claim, ClaimError> {
        let came = Instant::now();
        let until = deadline(came, max);
        let alike = Alike {
            fingerprint: *fingerprint,
            policy: Arc::as_ptr(&self.tuned).addr(),
        };
        let seat = self.shared().waiters.enter(key, alike, left);
        let mut news = seat.room.news.subscribe();
        let told = pin!(async {
            let _ = news.wait_for(|news| news.told(came).is_some()).await;
        });
        let leading = pin!(seat.room.lead.lock());
        let timer = pin!(sleep_until(until));
        let waited = select(told, select(leading, timer)).await;
        let mut lead = match waited {
            Either::Left(_) | Either::Right((Either::Right(_), _)) => return seat.room.tell(came),
            Either::Right((Either::Left((lead, _)), _)) => lead,
        };
        // The answer may have come together with the lead.
        let told = seat.room.news.borrow().told(came);
        match told {
            Some(told) => told,
            None => self.lead(&seat, &mut lead, fingerprint, until).await,
        }
    }

    async fn lead(
        &self,
        seat: &Seat<'_>,
        lead: &mut Lead,
        fingerprint: &Fingerprint,
        until: Instant,
    ) -> Result<Claim, ClaimError> {
        if lead.watcher.is_none() {
            lead.watcher = Some(self.watcher(seat.key).await);
        }
        loop {
            lead.until_next(&seat.room, until).await;
            let now = Instant::now();
            let recent = |asked: Instant| asked + FLOOR > now;
            if now >= until && lead.asked.is_some_and(recent) {
                return seat.room.tell(now);
            }
            let claim = self.claim_once(seat.key, fingerprint).await;
            lead.asked = Some(Instant::now());
            if std::mem::take(&mut lead.hinted) {
                lead.hint_taken = lead.asked;
            }
            let left = match claim {
                Ok(Claim::Refused(Refused::InFlight { retry_after })) => retry_after,
                Ok(Claim::Acquired(execution)) => {
                    seat.room.still(self.policy().lease);
                    lead.schedule(self, self.policy().lease);
                    return Ok(Claim::Acquired(execution));
                }
                Ok(Claim::Replay(payload)) => return Ok(seat.end(Over::Replay(payload))),
                Ok(Claim::ReplayFailure(payload)) => {
                    return Ok(seat.end(Over::ReplayFailure(payload)));
                }
                Ok(Claim::Refused(refused)) => return Ok(seat.end(Over::Refused(refused))),
                Err(error) => {
                    let failed = Some((now, error.clone()));
                    seat.room.news.send_modify(|news| news.failed = failed);
                    return Err(error);
                }
            };
            seat.room.still(left);
            lead.schedule(self, left);
            if Instant::now() >= until {
                return seat.room.tell(Instant::now());
            }
        }
    }

    async fn watcher(&self, key: &RecordKey) -> Option<Box<dyn Watcher>> {
        let watch = self.shared().watch.as_ref()?;
        match super::call::bounded(self.policy().call_limit(0), watch.watch(key)).await {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::debug!(%key, %error, "cannot watch the key; polling");
                None
            }
        }
    }
}

impl Seat<'_> {
    /// Tells everybody in the room, and gives what it told.
    fn end(&self, over: Over) -> Claim {
        self.waiters.close(self.key, &self.room);
        let told = Some(over.clone());
        self.room.news.send_modify(|news| news.over = told);
        over.into()
    }
}

impl Default for Lead {
    fn default() -> Self {
        Self {
            watcher: None,
            next: None,
            asked: None,
            hinted: false,
            hint_taken: None,
            pauses: Budget::new(Duration::MAX),
        }
    }
}

impl Lead {
    /// The next question after one that found the key in flight: after a pause, and when the lease
    /// ends, which changes nothing in the store, so that nobody would tell.
    fn schedule(&mut self, engine: &Idempotency, left: Duration) {
        let pause = match &self.watcher {
            Some(Some(_)) => engine.shared().entropy.jittered(WATCHED_PAUSE),
            _ => self.pauses.next_pause(engine).unwrap_or(WATCHED_PAUSE),
        };
        self.next = Some(deadline(Instant::now(), pause.min(left)));
    }

    /// Waits until it is time to ask: at the next question's time, after a change by this process,
    /// after a hint by the store, or at the end of the leader's own wait.
    async fn until_next(&mut self, room: &Room, until: Instant) {
        let Some(mut next) = self.next else {
            return;
        };
        loop {
            let timer = pin!(sleep_until(next.min(until)));
            let changed = pin!(room.changed.notified());
            let waited = match &mut self.watcher {
                Some(Some(watcher)) if !self.hinted => {
                    match select(changed, select(timer, watcher.changed())).await {
                        Either::Right((Either::Right(_), _)) => None,
                        _ => Some(()),
                    }
                }
                _ => {
                    select(changed, timer).await;
                    Some(())
                }
            };
            if waited.is_some() {
                return;
            }
            // The first hint brings a question at once, and the others keep a distance: a watcher
            // that is always ready must not bring more.
            self.hinted = true;
            let earliest = self
                .hint_taken
                .map_or_else(Instant::now, |taken| taken + FLOOR);
            next = next.min(earliest);
            self.next = Some(next);
        }
    }
}
