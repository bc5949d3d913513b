//! Claims of keys that have a record: those that this process saw are looked at, those that it did not
//! see meet the record as they are inserted. Either way they are told what is there.

use idem_core::store::{Created, Store, Updated};

use crate::world::{World, all, claim, complete, completed, create, key, keys, patient};

/// S1: a batch of claims meets records of another process here and there. Each claim is answered by
/// itself, the first time and, when the keys are known, the second time.
#[tokio::test]
async fn s1_each_claim_of_a_batch_is_told_what_its_own_key_has() {
    let Some(world) = World::open().await else {
        return;
    };
    let elsewhere = world.elsewhere().await;
    let taken = |n: usize| n % 7 == 3;
    for (n, key) in keys(100).into_iter().enumerate() {
        if taken(n) {
            let created = create(elsewhere.clone(), key.clone(), claim(2)).await;
            assert_eq!(created.unwrap(), Created::New);
            let ended = complete(elsewhere.clone(), key, claim(2)).await;
            assert_eq!(ended.unwrap(), Updated::Done);
        }
    }
    let claim_all = async || {
        let creates = keys(100)
            .into_iter()
            .map(|key| create(world.store.clone(), key, claim(1)));
        all(world.at_once(creates.collect()).await).await
    };
    for (n, created) in claim_all().await.into_iter().enumerate() {
        match created.unwrap() {
            Created::New => assert!(!taken(n), "{n}"),
            Created::Exists(found) => {
                assert!(taken(n), "{n}");
                assert_eq!(found.record, completed(&claim(2), "answer"));
            }
        }
    }
    for (n, created) in claim_all().await.into_iter().enumerate() {
        let Created::Exists(found) = created.unwrap() else {
            panic!("S1: {n} was claimed twice");
        };
        let there = match taken(n) {
            true => completed(&claim(2), "answer"),
            false => claim(1),
        };
        assert_eq!(found.record, there, "{n}");
    }
    assert_eq!(world.number("SELECT count(*) FROM idem.records"), 100);
}

/// S5: what was seen decides about the statement alone.
#[tokio::test]
async fn s5_a_key_that_was_seen_and_has_no_record_any_more_is_claimed_anew() {
    let Some(world) = World::open().await else {
        return;
    };
    let store = &world.store;
    for gone in [
        "DELETE FROM idem.records",
        "UPDATE idem.records SET expires_at = clock_timestamp()",
    ] {
        let created = create(store.clone(), key("k"), claim(1)).await;
        assert_eq!(created.unwrap(), Created::New);
        let created = create(store.clone(), key("k"), claim(2)).await.unwrap();
        let Created::Exists(found) = created else {
            panic!("S1: it was claimed twice");
        };
        assert_eq!(found.record, claim(1));
        assert!(found.age.is_some(), "its lease can be judged");
        world.server.sql(gone).unwrap();
        let created = create(store.clone(), key("k"), claim(3)).await;
        assert_eq!(created.unwrap(), Created::New, "after {gone}");
        let found = store.get(&key("k")).await.unwrap().unwrap();
        assert_eq!(found.record, claim(3));
        world.server.sql("DELETE FROM idem.records").unwrap();
    }
}

/// A record that somebody's open transaction is about to change is there all the while: whoever claims
/// its key is told so, and need not wait for the end.
#[tokio::test]
async fn a_claim_of_a_key_whose_record_is_being_changed_does_not_wait_for_that() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    let elsewhere = world.elsewhere().await;
    create(elsewhere, key("key-0057"), claim(2)).await.unwrap();
    let mut somebody = world.session();
    somebody
        .query("BEGIN; UPDATE idem.records SET status = 'completed', payload = 'x'")
        .unwrap();
    for round in ["not seen", "seen"] {
        let creates = keys(100)
            .into_iter()
            .map(|key| create(world.store.clone(), key, claim(1)));
        for (n, created) in all(world.at_once(creates.collect()).await)
            .await
            .into_iter()
            .enumerate()
        {
            match created.unwrap() {
                Created::New => assert!(n != 57 && round == "not seen", "{n}, {round}"),
                Created::Exists(found) => {
                    let owner = if n == 57 { 2 } else { 1 };
                    assert_eq!(found.record, claim(owner), "{n}, {round}");
                }
            }
        }
    }
    somebody.query("ROLLBACK").unwrap();
}
