//! S3: a delete applies if and only if the stored version is the expected one, atomically.

use idem_core::store::{Created, Deleted, Record, State, Updated, Version};

use crate::{
    Harness, Verdict,
    call::{all, expect_conflict, expect_record, handles, look, ok, put, remove, replace},
    sample::{self, Keys, LONG},
};

const ROUNDS: usize = 40;
const TASKS: usize = 16;

/// **S3.** A delete at the stored version removes the record, whatever its state.
pub async fn s3_a_delete_at_its_version_removes_the_record(harness: &dyn Harness) -> Verdict {
    let (store, keys) = (harness.store().await, Keys::draw(harness));
    for state in [
        sample::claim().state,
        State::Retryable { checkpoint: None },
        State::Completed {
            payload: "done".into(),
        },
        State::Failed {
            payload: "no".into(),
        },
    ] {
        let (key, record) = (keys.random(), sample::record(state));
        put(&*store, &key, &record, LONG).await;
        remove(&*store, &key, record.version).await;
        assert_eq!(
            look(&*store, &key).await,
            None,
            "S3: what was deleted is gone"
        );
    }
    Ok(())
}

/// **S3.** Another claim's token refuses the delete, whatever the revision.
pub async fn s3_another_token_is_refused(harness: &dyn Harness) -> Verdict {
    expect_refusal(harness, |stored| Version {
        token: sample::token(),
        ..stored
    })
    .await
}

/// **S3.** Another revision of the same claim refuses the delete, be it older or newer.
pub async fn s3_another_revision_is_refused(harness: &dyn Harness) -> Verdict {
    for step in [-1, 1] {
        expect_refusal(harness, |stored| Version {
            revision: stored.revision.wrapping_add_signed(step),
            ..stored
        })
        .await?;
    }
    Ok(())
}

/// **S3.** A delete of an absent key conflicts with nothing.
pub async fn s3_a_delete_of_an_absent_key_is_refused(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let deleted = store.delete(&key, sample::claim().version).await;
    expect_delete_conflict(&ok("delete", deleted), None);
    Ok(())
}

/// **S3.** After a delete the key is as new: the next create is `New`, and the old version is worth
/// nothing.
pub async fn s3_a_deleted_key_is_as_new(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let (old, new) = (sample::claim(), sample::claim());
    put(&*store, &key, &old, LONG).await;
    remove(&*store, &key, old.version).await;
    put(&*store, &key, &new, LONG).await;
    let deleted = ok("delete", store.delete(&key, old.version).await);
    expect_delete_conflict(&deleted, Some(&new));
    expect_record(&*store, &key, &new, "S3: the new record stays").await;
    Ok(())
}

/// **S3.** Of concurrent deletes at one version exactly one is done.
pub async fn s3_single_winner_of_concurrent_deletes(harness: &dyn Harness) -> Verdict {
    let stores = handles(harness).await;
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*stores[0], &key, &claim, LONG).await;
        let tasks = (0..TASKS).map(|n| {
            let (store, key) = (stores[n % stores.len()].clone(), key.clone());
            let version = claim.version;
            tokio::spawn(async move { ok("delete", store.delete(&key, version).await) })
        });
        let mut done = 0;
        for deleted in all(tasks).await {
            match deleted {
                Deleted::Done => done += 1,
                conflict => expect_delete_conflict(&conflict, None),
            }
        }
        assert_eq!(done, 1, "S3: exactly one of {TASKS} deletes is done");
    }
    Ok(())
}

/// **S3.** Of a delete and an update that race for one version exactly one is done, and the other
/// is told what came of it.
pub async fn s3_a_delete_and_an_update_never_both_win(harness: &dyn Harness) -> Verdict {
    let (ours, theirs) = (harness.store().await, harness.store().await);
    let keys = Keys::draw(harness);
    for _ in 0..ROUNDS {
        let (key, claim) = (keys.random(), sample::claim());
        put(&*ours, &key, &claim, LONG).await;
        let done = sample::completed(&claim, "answer");
        let deleting = tokio::spawn({
            let (store, key, version) = (theirs.clone(), key.clone(), claim.version);
            async move { ok("delete", store.delete(&key, version).await) }
        });
        let updated = ours.update(&key, claim.version, &done, LONG).await;
        let deleted = all([deleting]).await.remove(0);
        match (ok("update", updated), deleted) {
            (Updated::Done, conflict) => {
                expect_delete_conflict(&conflict, Some(&done));
                expect_record(&*theirs, &key, &done, "S3: the update stays").await;
            }
            (Updated::Conflict(found), Deleted::Done) => {
                assert_eq!(found, None, "S2: the update is told that nothing is there");
                assert_eq!(look(&*theirs, &key).await, None, "S3: it stays deleted");
            }
            (updated, deleted) => panic!("S3: neither won: {updated:?}, {deleted:?}"),
        }
    }
    Ok(())
}

/// **S1, S3.** Deletes and creates that race over several handles: one delete is done, at most one
/// create is new, and a record that was told as new is there afterwards.
pub async fn s3_a_delete_and_a_create_never_both_lose(harness: &dyn Harness) -> Verdict {
    let (stores, keys) = (handles(harness).await, Keys::draw(harness));
    for round in 0..ROUNDS {
        let (key, old) = (keys.random(), sample::claim());
        put(&*stores[0], &key, &old, LONG).await;
        // One create or a few, before the deletes or after them.
        let creates = 1 + round / 2 % 3;
        let tasks = (0..TASKS).map(|n| {
            let (store, key) = (stores[n % stores.len()].clone(), key.clone());
            let old = old.version;
            let creates = match round % 2 {
                0 => n < creates,
                _ => n >= TASKS - creates,
            };
            tokio::spawn(async move {
                if !creates {
                    let deleted = ok("delete", store.delete(&key, old).await);
                    return (deleted == Deleted::Done, None);
                }
                let claim = sample::claim();
                let created = ok("create", store.create(&key, &claim, LONG).await);
                (false, (created == Created::New).then_some(claim))
            })
        });
        let ended = all(tasks).await;
        let deleted = ended.iter().filter(|(deleted, _)| *deleted).count();
        assert_eq!(deleted, 1, "S3: exactly one delete is done");
        let new: Vec<_> = ended.into_iter().filter_map(|(_, new)| new).collect();
        assert!(new.len() <= 1, "S1: {} creates are new", new.len());
        let there = look(&*stores[1], &key).await.map(|stored| stored.record);
        assert_eq!(there.as_ref(), new.first(), "S1: what is new is there");
    }
    Ok(())
}

/// **G5.** A delete that is sent again finds nothing, or what was made since, and harms neither.
pub async fn g5_a_delete_sent_again_harms_nothing(harness: &dyn Harness) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let claim = sample::claim();
    put(&*store, &key, &claim, LONG).await;
    let done = sample::completed(&claim, "answer");
    replace(&*store, &key, claim.version, &done, LONG).await;
    remove(&*store, &key, done.version).await;
    let again = ok("delete", store.delete(&key, done.version).await);
    expect_delete_conflict(&again, None);
    Ok(())
}

/// Tries a delete that expects another version than the one that is there.
async fn expect_refusal(harness: &dyn Harness, other: impl Fn(Version) -> Version) -> Verdict {
    let (store, key) = (harness.store().await, Keys::draw(harness).random());
    let mut there = sample::claim();
    there.version.revision = 7;
    put(&*store, &key, &there, LONG).await;
    let deleted = ok("delete", store.delete(&key, other(there.version)).await);
    expect_delete_conflict(&deleted, Some(&there));
    expect_record(
        &*store,
        &key,
        &there,
        "S3: a refused delete removed nothing",
    )
    .await;
    Ok(())
}

#[track_caller]
fn expect_delete_conflict(deleted: &Deleted, there: Option<&Record>) {
    match deleted {
        Deleted::Conflict(found) => {
            expect_conflict(found.as_ref(), there, "S3: `Conflict` tells what is there");
        }
        Deleted::Done => panic!("S3: a delete that expects another version cannot be done"),
    }
}
