//! S2: an update applies if and only if the stored version is the expected one, atomically.

use bytes::Bytes;
use idem_core::store::{Record, State, Updated, Version};

use crate::{
    Harness, Verdict,
    call::{
        all, expect_conflict, expect_record, handles, look, ok, put, record_at, remove, replace,
    },
    sample::{self, Keys, LONG},
};

const ROUNDS: usize = 40;
const TASKS: usize = 16;

/// **S2.** An update at the stored version replaces the record, whatever the two states are.
pub async fn s2_an_update_at_its_version_replaces_the_record(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let mut there = sample::claim();
    put(&*store, &key, &there, LONG).await;
    let states = [
        State::InFlight {
            lease: LONG,
            checkpoint: Some("step 1".into()),
        },
        State::Retryable {
            checkpoint: Some("step 1".into()),
        },
        sample::claim().state,
        State::Failed {
            payload: "no".into(),
        },
        State::Completed {
            payload: "yes".into(),
        },
    ];
    for state in states {
        let next = sample::next(&there, state);
        replace(&*store, &key, there.version, &next, LONG).await;
        expect_record(&*store, &key, &next, "S2: an update is seen at once").await;
        there = next;
    }
    Ok(())
}

/// **S2.** Another claim's token refuses the update, whatever the revision: this fences.
pub async fn s2_another_token_is_refused(harness: &dyn Harness) -> Verdict {
    expect_refusal(harness, |stored| Version {
        token: sample::token(),
        ..stored
    })
    .await
}

/// **S2.** An older revision of the same claim refuses the update.
pub async fn s2_an_older_revision_is_refused(harness: &dyn Harness) -> Verdict {
    expect_refusal(harness, |stored| Version {
        revision: stored.revision - 1,
        ..stored
    })
    .await
}

/// **S2.** A revision that was not written yet refuses the update.
pub async fn s2_a_newer_revision_is_refused(harness: &dyn Harness) -> Verdict {
    expect_refusal(harness, |stored| Version {
        revision: stored.revision + 1,
        ..stored
    })
    .await
}

/// **S2.** An update advances the version: its own `expected` is refused from then on.
pub async fn s2_an_update_advances_the_version(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    let first = sample::completed(&claim, "first");
    replace(&*store, &key, claim.version, &first, LONG).await;

    let mut second = sample::completed(&claim, "second");
    second.version.revision += 1;
    let updated = store.update(&key, claim.version, &second, LONG).await;
    expect_update_conflict(&ok("update", updated), Some(&first));
    expect_record(&*store, &key, &first, "S2: the first ending stays").await;
    Ok(())
}

/// **S2.** An update of an absent key conflicts with nothing, and leaves nothing.
pub async fn s2_an_update_of_an_absent_key_is_refused(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    let next = sample::completed(&claim, "answer");
    let updated = store.update(&key, claim.version, &next, LONG).await;
    expect_update_conflict(&ok("update", updated), None);
    assert_eq!(
        look(&*store, &key).await,
        None,
        "S2: a refused update leaves nothing"
    );
    Ok(())
}

/// **S2.** An update never brings a deleted record back.
pub async fn s2_an_update_never_resurrects_a_deleted_record(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    remove(&*store, &key, claim.version).await;
    let late = sample::completed(&claim, "late");
    let updated = store.update(&key, claim.version, &late, LONG).await;
    expect_update_conflict(&ok("update", updated), None);
    assert_eq!(look(&*store, &key).await, None, "S2: deleted is deleted");
    Ok(())
}

/// **S2.** Of concurrent updates at one version exactly one is done, and its record stays.
pub async fn s2_single_winner_of_concurrent_updates(harness: &dyn Harness) -> Verdict {
    let stores = handles(harness).await;
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*stores[0], &key, &claim, LONG).await;
        let tasks = (0..TASKS).map(|n| {
            let (store, key) = (stores[n % stores.len()].clone(), key.clone());
            let (expected, record) = (claim.version, sample::successor(&claim));
            tokio::spawn(async move {
                let updated = ok("update", store.update(&key, expected, &record, LONG).await);
                (record, updated)
            })
        });
        let ended = all(tasks).await.into_iter();
        let (done, refused): (Vec<_>, Vec<_>) = ended.partition(|(_, u)| *u == Updated::Done);
        assert_eq!(done.len(), 1, "S2: exactly one of {TASKS} updates is done");
        let winner = &done[0].0;
        for (_, updated) in &refused {
            expect_update_conflict(updated, Some(winner));
        }
        expect_record(&*stores[1], &key, winner, "S2: the winner's record stays").await;
    }
    Ok(())
}

/// **S2.** No update is lost: as many increments arrive as were reported done.
pub async fn s2_no_update_is_lost_under_contention(harness: &dyn Harness) -> Verdict {
    const EACH: u32 = 12;
    const WRITERS: u32 = 8;
    let stores = handles(harness).await;
    let (key, first) = (Keys::draw(harness).random(), sample::claim());
    put(&*stores[0], &key, &first, LONG).await;
    let writers = (0..WRITERS as usize).map(|n| {
        let (store, key) = (stores[n % stores.len()].clone(), key.clone());
        tokio::spawn(async move {
            for _ in 0..EACH {
                loop {
                    let there = record_at(&*store, &key).await;
                    let there = there.expect("S6: the record stays while it is updated");
                    let (expected, next) = (there.version, sample::successor(&there));
                    let updated = store.update(&key, expected, &next, LONG).await;
                    if ok("update", updated) == Updated::Done {
                        break;
                    }
                }
            }
        })
    });
    all(writers).await;
    let attempt = record_at(&*stores[0], &key).await.map(|r| r.attempt);
    assert_eq!(
        attempt,
        Some(first.attempt + EACH * WRITERS),
        "S2: every update that was done counted"
    );
    Ok(())
}

/// **S2.** A finished write is seen by every handle: no answer comes from a replica or a cache
/// that lags behind.
pub async fn s2_a_finished_write_is_seen_by_every_handle(harness: &dyn Harness) -> Verdict {
    let (ours, theirs) = (harness.store().await, harness.store().await);
    let (key, mut there) = (Keys::draw(harness).random(), sample::claim());
    assert_eq!(look(&*theirs, &key).await, None);
    put(&*ours, &key, &there, LONG).await;
    for _ in 0..ROUNDS {
        expect_record(&*theirs, &key, &there, "S2: a get is never stale").await;
        let next = sample::next(&there, there.state.clone());
        replace(&*ours, &key, there.version, &next, LONG).await;
        there = next;
    }
    remove(&*ours, &key, there.version).await;
    assert_eq!(look(&*theirs, &key).await, None, "S3: a get is never stale");
    Ok(())
}

/// **G5.** An update that is sent again finds its own new version.
pub async fn g5_an_update_sent_again_finds_itself(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    let done = sample::completed(&claim, "answer");
    replace(&*store, &key, claim.version, &done, LONG).await;
    for _ in 0..3 {
        let updated = store.update(&key, claim.version, &done, LONG).await;
        expect_update_conflict(&ok("update", updated), Some(&done));
    }
    expect_record(&*store, &key, &done, "G5: sending again changes nothing").await;
    Ok(())
}

/// Tries an update that expects another version than the one that is there.
async fn expect_refusal(harness: &dyn Harness, other: impl Fn(Version) -> Version) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for state in [
        sample::claim().state,
        State::Retryable { checkpoint: None },
        State::Completed {
            payload: Bytes::new(),
        },
        State::Failed {
            payload: Bytes::new(),
        },
    ] {
        let (key, mut there) = (keys.random(), sample::record(state));
        there.version.revision = 7;
        put(&*store, &key, &there, LONG).await;
        let mut intruder: Record = sample::completed(&there, "intruder");
        intruder.version.token = sample::token();
        let updated = store
            .update(&key, other(there.version), &intruder, LONG)
            .await;
        expect_update_conflict(&ok("update", updated), Some(&there));
        expect_record(&*store, &key, &there, "S2: a refused update wrote nothing").await;
    }
    Ok(())
}

#[track_caller]
fn expect_update_conflict(updated: &Updated, there: Option<&Record>) {
    match updated {
        Updated::Conflict(found) => {
            expect_conflict(found.as_ref(), there, "S2: `Conflict` tells what is there");
        }
        Updated::Done => panic!("S2: an update that expects another version cannot be done"),
    }
}
