//! S4: a record's age is measured by the store's clock alone, from its last write.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Created, Store, Stored, Updated},
};
use tokio::time::Instant;

use super::GRAIN;
use crate::{
    Harness, Verdict,
    call::{look, ok, put, replace, scaled},
    sample::{self, Keys, LONG},
};

const LOOKS: u32 = 12;
const BETWEEN: Duration = Duration::from_millis(10);
/// By how much the two clocks may part while a case runs: one of them may be adjusted.
pub(super) const DRIFT: Duration = Duration::from_millis(500);

/// **S4.** The age grows as time passes, by no less and no more than what passed.
pub async fn s4_the_age_is_the_time_since_the_last_write(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let written = Written::create(&*store, &key).await;
    for _ in 0..LOOKS {
        tokio::time::sleep(scaled(harness, BETWEEN)).await;
        written.expect_age_of(&*store, &key).await;
    }
    Ok(())
}

/// **S4.** Between two writes the age never runs backwards, however often one asks.
pub async fn s4_the_age_never_runs_backwards(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    Written::create(&*store, &key).await;
    let mut last = Duration::ZERO;
    for _ in 0..200 {
        let age = age(look(&*store, &key).await.as_ref());
        assert!(age >= last, "S4: {age:?} after {last:?}");
        last = age;
    }
    Ok(())
}

/// **S4.** An update starts the age anew.
pub async fn s4_an_update_starts_the_age_anew(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let mut there = sample::claim();
    put(&*store, &key, &there, LONG).await;
    for _ in 0..3 {
        // Longer than the two clocks may part, so that an age that goes on is told apart.
        tokio::time::sleep(2 * DRIFT / 3).await;
        let (before, next) = (Instant::now(), sample::next(&there, there.state.clone()));
        replace(&*store, &key, there.version, &next, LONG).await;
        let written = Written {
            before,
            after: Instant::now(),
        };
        written.expect_age_of(&*store, &key).await;
        there = next;
    }
    Ok(())
}

/// **S4.** Every handle tells the same age: the clock of whoever asks is not asked.
pub async fn s4_every_handle_tells_the_same_age(harness: &dyn Harness) -> Verdict {
    let keys = Keys::draw(harness);
    let stores = [
        harness.store().await,
        harness.store().await,
        harness.store().await,
    ];
    for writer in &stores {
        let key = keys.random();
        let written = Written::create(&**writer, &key).await;
        for reader in &stores {
            written.expect_age_of(&**reader, &key).await;
        }
    }
    Ok(())
}

/// **S4.** Whoever is refused is told the age as well: a claim decides by it whether a lease ran
/// out.
pub async fn s4_a_refusal_tells_the_age(harness: &dyn Harness) -> Verdict {
    let (theirs, store) = (harness.store().await, harness.store().await);
    let key = Keys::draw(harness).random();
    let written = Written::create(&*theirs, &key).await;
    tokio::time::sleep(scaled(harness, BETWEEN)).await;

    let other = sample::claim();
    let asked = Instant::now();
    match ok("create", store.create(&key, &other, LONG).await) {
        Created::Exists(found) => written.expect_age("create", asked, Some(&found)),
        Created::New => panic!("S1: something was there"),
    }
    let asked = Instant::now();
    match ok(
        "update",
        store.update(&key, other.version, &other, LONG).await,
    ) {
        Updated::Conflict(found) => written.expect_age("update", asked, found.as_ref()),
        Updated::Done => panic!("S2: another version was there"),
    }
    Ok(())
}

/// **S4.** Where a store tells how long a record has to live, it is the ttl less the age.
pub async fn s4_the_time_left_is_the_ttl_less_the_age(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let written = Written::create(&*store, &key).await;
    for _ in 0..LOOKS {
        let asked = Instant::now();
        let found = look(&*store, &key).await.expect("S6: it lives for an hour");
        let answered = Instant::now();
        if let Some(left) = found.remaining {
            let most = LONG - asked.duration_since(written.after) + GRAIN;
            let least = LONG - answered.duration_since(written.before) - DRIFT;
            assert!(
                left <= LONG && left <= most && left >= least,
                "S4: {left:?} is not between {least:?} and {most:?}"
            );
        }
        tokio::time::sleep(scaled(harness, BETWEEN)).await;
    }
    Ok(())
}

/// When a write was sent and when it was answered; it was applied in between.
pub(super) struct Written {
    before: Instant,
    after: Instant,
}

impl Written {
    pub(super) async fn create(store: &dyn Store, key: &RecordKey) -> Self {
        let before = Instant::now();
        put(store, key, &sample::claim(), LONG).await;
        Self {
            before,
            after: Instant::now(),
        }
    }

    pub(super) async fn expect_age_of(&self, store: &dyn Store, key: &RecordKey) {
        let asked = Instant::now();
        let found = look(store, key).await;
        self.expect_age("get", asked, found.as_ref());
    }

    #[track_caller]
    fn expect_age(&self, what: &str, asked: Instant, found: Option<&Stored>) {
        let age = age(found);
        let least = asked.duration_since(self.after).saturating_sub(GRAIN);
        let most = self.before.elapsed() + DRIFT;
        assert!(
            age >= least && age <= most,
            "S4: {what} told an age of {age:?}, which is not between {least:?} and {most:?}"
        );
    }
}

#[track_caller]
fn age(found: Option<&Stored>) -> Duration {
    let found = found.expect("S6: the record is there");
    found.age.expect("S4: a record in flight has an age")
}
