//! Waiting for somebody else's ending: woken at once within a process, polling beside it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::select;
use tokio::{sync::Notify, time::Instant};

use super::{Claim, Idempotency, call::Budget};
use crate::{ClaimError, Fingerprint, RecordKey, Refused, Watcher};

const STRIPES: usize = 64;

/// Who waits for which key in this process. Keys share stripes: a wake-up may be spurious, and
/// costs a claim.
pub(crate) struct Waiters {
    stripes: Box<[Stripe; STRIPES]>,
    /// So that nobody can choose keys that share a stripe.
    salt: u64,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Stripe(Notify);

impl Waiters {
    pub(super) fn new(salt: u64) -> Self {
        Self {
            stripes: Box::new(std::array::from_fn(|_| Stripe::default())),
            salt,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Wakes whoever waits for this key. Call it after the store has taken the change.
    pub(crate) fn wake(&self, key: &RecordKey) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.stripe(key).0.notify_waiters();
        }
    }

    fn stripe(&self, key: &RecordKey) -> &Stripe {
        let mut hasher = DefaultHasher::new();
        (self.salt, key.as_str()).hash(&mut hasher);
        &self.stripes[usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0)]
    }

    fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(&self.waiting)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Idempotency {
    /// Claims again and again until the key is free or ended, or `max` is over. Every round is a
    /// whole claim: a waiter never runs without one.
    pub(super) async fn claim_waiting(
        &self,
        key: &RecordKey,
        fingerprint: &Fingerprint,
        max: Duration,
    ) -> Result<Claim, ClaimError> {
        let waiters = &self.shared().waiters;
        let _waiting = waiters.enter();
        let deadline = Instant::now() + max;
        let mut watcher = self.watcher(key).await;
        let mut pauses = Budget::new(max);
        loop {
            let mut woken = pin!(waiters.stripe(key).0.notified());
            woken.as_mut().enable();
            let claim = self.claim_once(key, fingerprint).await?;
            let Claim::Refused(Refused::InFlight { retry_after }) = claim else {
                return Ok(claim);
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(pause) = pauses.next_pause(self).filter(|_| !left.is_zero()) else {
                return Ok(Claim::Refused(Refused::InFlight { retry_after }));
            };
            // A lease that runs out changes nothing in the store, so nobody would wake us.
            let pause = pause.min(left).min(retry_after);
            let changed = pin!(changed(&mut watcher));
            select(select(woken, changed), pin!(tokio::time::sleep(pause))).await;
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

async fn changed(watcher: &mut Option<Box<dyn Watcher>>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdempotencyKey, Scope};

    /// The stripes of some keys.
    fn stripes(waiters: &Waiters) -> Vec<usize> {
        let place = |stripe| waiters.stripes.iter().position(|s| std::ptr::eq(s, stripe));
        let keys = (0..200).map(|n| IdempotencyKey::new(format!("key-{n}")).expect("it is a key"));
        keys.map(|key| waiters.stripe(&Scope::global().key(&key)))
            .map(|stripe| place(stripe).expect("it is one of them"))
            .collect()
    }

    /// What a simulation repeats has to wake the same waiters.
    #[test]
    fn keys_share_stripes_by_the_salt_alone() {
        let of = |salt| stripes(&Waiters::new(salt));
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn whoever_waits_is_counted_until_it_goes() {
        let waiters = Waiters::new(0);
        let (one, other) = (waiters.enter(), waiters.enter());
        assert_eq!(waiters.waiting.load(Ordering::SeqCst), 2);
        drop(one);
        assert_eq!(waiters.waiting.load(Ordering::SeqCst), 1);
        drop(other);
        assert_eq!(waiters.waiting.load(Ordering::SeqCst), 0);
    }
}
