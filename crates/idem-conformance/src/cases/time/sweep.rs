//! `Sweep` purges what expired and nothing else; `Browse` lists nothing that expired.

use idem_core::store::Filter;
use tokio::time::Instant;

use super::{GRAIN, SHORT, expiry::Expired};
use crate::{
    Harness, Verdict,
    call::{all, expect_record, look, ok, put, scaled},
    case::needs,
    sample::{self, Keys, LONG},
};

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

/// **Sweep, S6.** A sweep takes nothing before its ttl is over, not even a second before.
pub async fn sweep_takes_nothing_before_its_ttl(harness: &dyn Harness) -> Verdict {
    let sweeping = needs(harness.sweep().await, "sweeper (`Sweep`)")?;
    let (store, key) = (&*sweeping.store, Keys::draw(harness).random());
    let ttl = 4 * scaled(harness, SHORT);
    let before = Instant::now();
    put(store, &key, &sample::claim(), ttl).await;
    loop {
        ok("sweep", sweeping.sweep.sweep(100).await);
        let there = look(store, &key).await.is_some();
        let lived = before.elapsed();
        if lived + GRAIN >= ttl {
            return Ok(());
        }
        assert!(there, "S6: a ttl of {ttl:?}, and gone after {lived:?}");
    }
}

/// **Sweep, S6.** A sweep that meets a key which was expired and is claimed anew leaves it alone: it
/// looks and deletes in one step.
pub async fn sweep_never_takes_a_record_made_anew(harness: &dyn Harness) -> Verdict {
    const EXPIRED: usize = 200;
    let sweeping = needs(harness.sweep().await, "sweeper (`Sweep`)")?;
    let (store, keys) = (&sweeping.store, Keys::draw(harness));
    let expired = Expired::wait(harness, &**store, &keys, EXPIRED).await;
    let sweeps = (0..4).map(|_| {
        let sweep = sweeping.sweep.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                ok("sweep", sweep.sweep(EXPIRED / 4).await);
            }
        })
    });
    let sweeps: Vec<_> = sweeps.collect();
    let creates = expired.keys.iter().map(|key| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move {
            let record = sample::claim();
            put(&*store, &key, &record, LONG).await;
            (key, record)
        })
    });
    let made = all(creates).await;
    all(sweeps).await;
    for (key, record) in &made {
        expect_record(&**store, key, record, "S6: made anew, and not swept").await;
    }
    Ok(())
}

/// **Browse, S5.** Between expired records every living one is listed: a page that is short, because
/// some of its records are over, is not the last.
pub async fn browse_lists_what_lives_among_what_expired(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, "listing (`Browse`)")?;
    let (store, keys) = (&*browsing.store, Keys::draw(harness));
    let live: Vec<_> = (0..20).map(|_| keys.random()).collect();
    for key in &live[..10] {
        put(store, key, &sample::claim(), LONG).await;
    }
    Expired::wait(harness, store, &keys, 40).await;
    for key in &live[10..] {
        put(store, key, &sample::claim(), LONG).await;
    }
    for limit in [1, 4] {
        let listed = crate::cases::optional::list(&browsing, &Filter::default(), limit).await;
        let missing = live.iter().filter(|key| !listed.contains_key(key)).count();
        assert_eq!(missing, 0, "Browse: {missing} of 20 are not listed");
    }
    Ok(())
}

/// **Browse, S5.** An expired record is not listed, purged or not.
pub async fn browse_lists_nothing_that_expired(harness: &dyn Harness) -> Verdict {
    let browsing = needs(harness.browse().await, "listing (`Browse`)")?;
    let expired = Expired::wait(harness, &*browsing.store, &Keys::draw(harness), 5).await;
    let listed = crate::cases::optional::list(&browsing, &Filter::default(), 3).await;
    for key in &expired.keys {
        assert!(
            !listed.contains_key(key),
            "S5: expired is absent to a listing"
        );
    }
    Ok(())
}
