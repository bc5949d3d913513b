//! S10: a call that is dropped at any await is applied or not, never half, and the store goes on.

use std::{future::Future, pin::pin, task::Poll};

use futures_util::future::join_all;
use idem_core::store::{Created, Deleted, Updated};

use crate::{
    Harness, Verdict,
    call::{expect_record, look, ok, put},
    sample::{self, Keys, LONG},
};

/// More awaits than a store call has. A call that is not through by then was dropped often enough.
const POLLS: usize = 48;

/// **S10.** A create dropped after 0, 1, 2, … polls: sent again it is new or finds itself.
pub async fn s10_a_dropped_create_is_applied_or_not(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for polls in 0..POLLS {
        let (key, record) = (keys.random(), sample::claim());
        let through = polled(store.create(&key, &record, LONG), polls).await;
        match ok("create", store.create(&key, &record, LONG).await) {
            Created::New => assert!(through.is_none(), "S1: what was created is there"),
            Created::Exists(found) => assert_eq!(found.record, record, "S10: it is whole"),
        }
        expect_record(&*store, &key, &record, "S10: it is there now").await;
        if through.is_some() {
            break;
        }
    }
    Ok(())
}

/// **S10.** An update dropped after 0, 1, 2, … polls: sent again it is done or finds itself.
pub async fn s10_a_dropped_update_is_applied_or_not(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for polls in 0..POLLS {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*store, &key, &claim, LONG).await;
        let done = sample::completed(&claim, vec![7; 4096]);
        let update = || store.update(&key, claim.version, &done, LONG);
        let through = polled(update(), polls).await;
        let seen = crate::call::record_at(&*store, &key).await;
        assert!(
            seen.as_ref() == Some(&done) || seen.as_ref() == Some(&claim),
            "S10: before or after, never half: {seen:?}"
        );
        match ok("update", update().await) {
            Updated::Done => assert!(through.is_none(), "S2: what was updated is updated"),
            Updated::Conflict(found) => {
                let found = found.map(|stored| stored.record);
                assert_eq!(found, Some(done.clone()), "S10: it found itself");
            }
        }
        expect_record(&*store, &key, &done, "S10: it is updated now").await;
        if through.is_some() {
            break;
        }
    }
    Ok(())
}

/// **S10.** A delete dropped after 0, 1, 2, … polls: sent again it is done or finds nothing.
pub async fn s10_a_dropped_delete_is_applied_or_not(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for polls in 0..POLLS {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*store, &key, &claim, LONG).await;
        let through = polled(store.delete(&key, claim.version), polls).await;
        match ok("delete", store.delete(&key, claim.version).await) {
            Deleted::Done => assert!(through.is_none(), "S3: what was deleted is gone"),
            Deleted::Conflict(found) => assert_eq!(found, None, "S10: it is gone, not half"),
        }
        assert_eq!(look(&*store, &key).await, None, "S10: it is gone now");
        if through.is_some() {
            break;
        }
    }
    Ok(())
}

/// **S10.** A get dropped after 0, 1, 2, … polls harms nothing: the next one has its own answer.
pub async fn s10_a_dropped_get_harms_nothing(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let (one, other) = (keys.random(), keys.random());
    let (first, second) = (sample::claim(), sample::claim());
    put(&*store, &one, &first, LONG).await;
    put(&*store, &other, &second, LONG).await;
    for polls in 0..POLLS {
        let through = polled(store.get(&one), polls).await;
        // An answer that is left over on a connection would be taken for the next one's.
        expect_record(
            &*store,
            &other,
            &second,
            "S10: each call has its own answer",
        )
        .await;
        expect_record(&*store, &one, &first, "S10: each call has its own answer").await;
        if through.is_some() {
            break;
        }
    }
    Ok(())
}

/// **S10.** Of many calls at once every other one is dropped half-way; those that stay are
/// answered, and the store is not used up afterwards.
pub async fn s10_dropped_calls_harm_no_others(harness: &dyn Harness) -> Verdict {
    const CALLS: usize = 64;
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for polls in 1..5 {
        let written: Vec<_> = (0..CALLS)
            .map(|_| (keys.random(), sample::claim()))
            .collect();
        let calls = written.iter().enumerate().map(|(n, (key, record))| {
            let limit = if n % 2 == 0 { usize::MAX } else { polls };
            polled(store.create(key, record, LONG), limit)
        });
        for (n, through) in join_all(calls).await.into_iter().enumerate() {
            let created = through.map(|created| ok("create", created));
            match created {
                Some(created) => assert_eq!(created, Created::New, "S1: it is a new key"),
                None => assert!(n % 2 == 1, "only every other call was dropped"),
            }
        }
        for (key, record) in &written {
            match ok("create", store.create(key, record, LONG).await) {
                Created::New => {}
                Created::Exists(found) => assert_eq!(found.record, *record, "S10: whole"),
            }
        }
    }
    Ok(())
}

/// **S10.** Calls that are dropped half-way, each kind by itself and far more of them than a pool has
/// places, leave the store usable.
pub async fn s10_dropped_calls_use_nothing_up(harness: &dyn Harness) -> Verdict {
    const CALLS: usize = 64;
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    let (key, record) = (keys.random(), sample::claim());
    put(&*store, &key, &record, LONG).await;
    let (stranger, next) = (sample::claim(), sample::claim());
    let absent = keys.random();
    for polls in 1..4 {
        for kind in 0..4 {
            // None of them changes anything, applied or not.
            let dropped = (0..CALLS).map(|_| async {
                match kind {
                    0 => drop(polled(store.get(&key), polls).await),
                    1 => drop(polled(store.create(&key, &next, LONG), polls).await),
                    2 => {
                        let update = store.update(&key, stranger.version, &next, LONG);
                        drop(polled(update, polls).await);
                    }
                    _ => drop(polled(store.delete(&absent, stranger.version), polls).await),
                }
            });
            join_all(dropped).await;
            expect_record(&*store, &key, &record, "S10: the store goes on").await;
            ok("create", store.create(&key, &next, LONG).await);
            let update = store.update(&key, stranger.version, &next, LONG);
            ok("update", update.await);
            ok("delete", store.delete(&key, stranger.version).await);
        }
    }
    Ok(())
}

/// Polls a future at most so often, then drops it.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        let Some(rest) = left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        left = rest;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
