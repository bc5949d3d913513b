//! `Sweep` purges what expired and nothing else; `Browse` lists nothing that expired.

use crate::{
    Harness, Verdict,
    call::{expect_record, look, ok, put},
    case::needs,
    sample::{self, Keys, LONG},
};

use super::expiry::Expired;

/// **Sweep.** Sweeping purges every expired record, at most so many at a time, and no live one;
/// the keys are as new.
pub async fn sweep_purges_what_expired_and_nothing_else(harness: &dyn Harness) -> Verdict {
    const EXPIRED: usize = 25;
    const LIMIT: usize = 10;
    let sweeping = needs(harness.sweep().await, "sweeper (`Sweep`)")?;
    let (store, keys) = (&*sweeping.store, Keys::draw(harness));
    let live: Vec<_> = (0..5).map(|_| (keys.random(), sample::claim())).collect();
    for (key, record) in &live {
        put(store, key, record, LONG).await;
    }
    let expired = Expired::wait(harness, store, &keys, EXPIRED).await;

    let mut purged = 0;
    loop {
        let swept = ok("sweep", sweeping.sweep.sweep(LIMIT).await);
        assert!(
            swept <= LIMIT,
            "Sweep: {swept} purged, at most {LIMIT} allowed"
        );
        purged += swept;
        if swept < LIMIT {
            break;
        }
    }
    assert!(purged >= EXPIRED, "Sweep: {purged} of {EXPIRED} purged");
    for (key, record) in &live {
        expect_record(store, key, record, "S6: nothing goes before its ttl").await;
    }
    for key in &expired.keys {
        assert_eq!(look(store, key).await, None, "S5: expired is absent");
        put(store, key, &sample::claim(), LONG).await;
    }
    let swept = ok("sweep", sweeping.sweep.sweep(LIMIT).await);
    assert_eq!(swept, 0, "Sweep: records that were made anew are not swept");
    Ok(())
}

/// **Browse, S5.** An expired record is not listed, purged or not.
pub async fn browse_lists_nothing_that_expired(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, "listing (`Browse`)")?;
    let expired = Expired::wait(harness, &*browsing.store, &Keys::draw(harness), 5).await;
    let listed = crate::cases::optional::list(&browsing, 3).await;
    for key in &expired.keys {
        assert!(
            !listed.contains_key(key),
            "S5: expired is absent to a listing"
        );
    }
    Ok(())
}
