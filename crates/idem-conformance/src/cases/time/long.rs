//! S5: a ttl is as long as it says, from nothing to a hundred years.

use std::time::Duration;

use idem_core::{
    RecordKey,
    store::{Created, Record, State, Store, Stored, Updated},
};

use super::{
    SHORT,
    age::{DRIFT, Written},
    expiry::{Expired, until_gone},
};
use crate::{
    Corrupt, Harness, Verdict,
    call::{expect_record, look, ok, put, remove, replace, scaled, until},
    case::needs,
    sample::{self, Keys, LONG},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Just past where numbers end and where servers change their minds. What wraps is over at once.
const LONG_LIVES: [Duration; 9] = [
    Duration::from_micros((1 << 32) + 1_000), // 71 minutes: a u32 of microseconds
    Duration::from_secs(24 * 3600 + 1),       // a cap at one day
    Duration::from_millis((1 << 31) + 1),     // 24.8 days: an i32 of milliseconds
    Duration::from_secs(30 * 24 * 3600 + 1),  // 30 days: memcached takes more for a date
    Duration::from_millis((1 << 32) + 1),     // 49.7 days: a u32 of milliseconds
    Duration::from_secs(365 * 24 * 3600),
    Duration::from_secs((1 << 31) + 1), // 68 years: an i32 of seconds
    Duration::from_secs(100 * 365 * 24 * 3600), // what `Halt` and `Probe` keep records for
    Duration::from_secs(101 * 365 * 24 * 3600), // the same with a lease on top
];

/// **S5, S6.** A record with a ttl of days, months or a hundred years is there right after it was
/// written, whether it was created or updated; where the store tells how long it lives, it is that
/// long. (What is over only after an hour, and not told, no test can see.)
pub async fn s5_a_long_ttl_is_not_over_at_once(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let mut filed = Vec::new();
    for ttl in LONG_LIVES {
        let (created, updated) = (keys.random(), keys.random());
        let claim = sample::claim();
        put(&*store, &updated, &claim, LONG).await;
        let next = sample::next(&claim, claim.state.clone());
        // On a task, so that a panic is told with its ttl.
        let written = tokio::spawn({
            let (store, created, updated) = (store.clone(), created.clone(), updated.clone());
            let (claim, next) = (claim.clone(), next.clone());
            async move {
                let new = ok("create", store.create(&created, &claim, ttl).await);
                let expected = claim.version;
                let done = store.update(&updated, expected, &next, ttl).await;
                (new, ok("update", done))
            }
        });
        match written.await {
            Ok(written) => assert_eq!(written, (Created::New, Updated::Done), "S1, S2: {ttl:?}"),
            Err(error) => panic!("S5: a ttl of {ttl:?}: {error}"),
        }
        filed.push((ttl, [(created, claim), (updated, next)]));
    }
    // So that what wrapped to a millisecond is over.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for (ttl, both) in &filed {
        for (key, record) in both {
            expect_living(look(&*store, key).await, record, *ttl);
        }
    }
    Ok(())
}

#[track_caller]
fn expect_living(found: Option<Stored>, record: &Record, ttl: Duration) {
    let found = found.unwrap_or_else(|| panic!("S6: a ttl of {ttl:?} is over at once"));
    assert_eq!(found.record, *record, "S7: what was written");
    let age = found.age.expect("S4: a record in flight has an age");
    assert!(
        age < DAY / 24,
        "S4: with a ttl of {ttl:?} its age is {age:?}"
    );
    if let Some(left) = found.remaining {
        // Written within this test, which takes minutes at most.
        let least = ttl - DAY / 48;
        assert!(
            left <= ttl && left >= least,
            "S5: of a ttl of {ttl:?} {left:?} is left"
        );
    }
}

/// **S5.** A ttl of nothing, or of less than a store's clock can tell, is over soon and not never.
pub async fn s5_a_ttl_of_nothing_is_not_for_ever(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for ttl in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(999),
    ] {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*store, &key, &claim, ttl).await;
        until_gone(harness, &*store, &key).await;
        put(&*store, &key, &claim, LONG).await;
        let done = sample::completed(&claim, "answer");
        let updated = store.update(&key, claim.version, &done, ttl).await;
        assert_eq!(ok("update", updated), Updated::Done, "S2: at its version");
        until_gone(harness, &*store, &key).await;
    }
    Ok(())
}

/// **S4, S5.** The time left is that of the last write, be its ttl longer or shorter than the first.
pub async fn s4_the_time_left_is_of_the_last_write(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let mut there = sample::claim();
    put(&*store, &key, &there, LONG).await;
    for ttl in [2 * LONG, LONG / 2, 30 * DAY] {
        let next = sample::next(&there, there.state.clone());
        replace(&*store, &key, there.version, &next, ttl).await;
        there = next;
        expect_living(look(&*store, &key).await, &there, ttl);
        let stranger = sample::claim();
        match ok("create", store.create(&key, &stranger, LONG).await) {
            Created::Exists(found) => expect_living(Some(found), &there, ttl),
            Created::New => panic!("S1: something was there"),
        }
        let updated = store.update(&key, stranger.version, &stranger, LONG).await;
        match ok("update", updated) {
            Updated::Conflict(found) => expect_living(found, &there, ttl),
            Updated::Done => panic!("S2: another version was there"),
        }
    }
    Ok(())
}

/// **S4.** A create over an expired record has an age of its own.
pub async fn s4_a_create_over_an_expired_record_starts_the_age_anew(
    harness: &dyn Harness,
) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let expired = Expired::wait(harness, &*store, &keys, 1).await;
    tokio::time::sleep(DRIFT + DRIFT / 2).await;
    Written::create(&*store, &expired.keys[0])
        .await
        .expect_age_of(&*store, &expired.keys[0])
        .await;
    Ok(())
}

/// **S4.** A create after a delete has an age of its own.
pub async fn s4_a_create_after_a_delete_starts_the_age_anew(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    tokio::time::sleep(DRIFT + DRIFT / 2).await;
    remove(&*store, &key, claim.version).await;
    let written = Written::create(&*store, &key).await;
    written.expect_age_of(&*store, &key).await;
    Ok(())
}

/// **S5, S7.** A record in a format of a newer release expires like any other: its key is not locked
/// for ever.
pub async fn s5_an_unknown_format_expires_like_any_other(harness: &dyn Harness) -> Verdict {
    let corrupt = harness.corrupt().await;
    let corrupt = needs(corrupt, "way to damage what is stored")?;
    let (store, keys) = (corrupt.store().await, Keys::draw(harness));
    let key = unreadable(harness, &*corrupt, &*store, &keys).await;
    let anew = sample::record(State::Completed {
        payload: "answer".into(),
    });
    until(
        harness,
        "S5: past its ttl a record of an unknown format is absent",
        || async {
            let created = store.create(&key, &anew, LONG).await;
            (created.ok()? == Created::New).then_some(())
        },
    )
    .await;
    expect_record(&*store, &key, &anew, "S5: the key is as new").await;
    Ok(())
}

/// A record of an unknown format that is over soon.
async fn unreadable(
    harness: &dyn Harness,
    corrupt: &dyn Corrupt,
    store: &dyn Store,
    keys: &Keys,
) -> RecordKey {
    // Long enough for all that comes before it is over.
    let mut ttl = scaled(harness, 20 * SHORT);
    loop {
        let key = keys.random();
        put(store, &key, &sample::claim(), ttl).await;
        if corrupt.raw(&key).await.is_some() && look(store, &key).await.is_some() {
            corrupt.write_unknown_format(&key).await;
            return key;
        }
        // A slow machine let it expire.
        ttl *= 4;
    }
}
