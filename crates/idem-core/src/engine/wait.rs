//! Waiting for somebody else's ending: one asks the store for all who wait alike in this process.
//!
//! Whoever waits for the same key with the same fingerprint and policy sits in one [`Room`]. One of
//! them leads: it claims the key again and again, the others listen. An answer that the leader finds
//! is everybody's. A leader that gets to run leaves, and the next one leads on: nobody runs without
//! a claim of its own. A leader whose caller went away hands over by dropping its lock.

mod lead;
mod room;

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until};

use self::{
    lead::{FLOOR, Lead},
    room::{Alike, Over, Seat},
};
use super::{Claim, Idempotency, call::bounded, deadline::deadline};
use crate::{Fingerprint, RecordKey, Refused, error::ClaimError, store::Watcher};

pub(crate) use room::Waiters;

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
        match bounded(self.policy().call_limit(0), watch.watch(key)).await {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::debug!(%key, %error, "cannot watch the key; polling");
                None
            }
        }
    }
}
