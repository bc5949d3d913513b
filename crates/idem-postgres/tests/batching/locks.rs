//! A row that is locked by somebody's open transaction delays its own caller alone.

use std::{sync::Mutex, time::Duration};

use idem_core::store::{Created, Store, StoreErrorKind, Updated};
use idem_postgres::PostgresConfig;

use crate::world::{LONG, World, all, claim, complete, completed, create, key, keys, patient};

#[tokio::test]
async fn an_update_of_a_locked_row_waits_and_the_others_do_not() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    for key in keys(100) {
        create(world.store.clone(), key, claim(1)).await.unwrap();
    }
    let mut somebody = world.session();
    somebody
        .query("BEGIN; SELECT 1 FROM idem.records WHERE key = 'key-0057' FOR UPDATE")
        .unwrap();
    let updates = keys(100)
        .into_iter()
        .map(|key| complete(world.store.clone(), key, claim(1)));
    let mut calls = world.at_once(updates.collect()).await;
    let waiting = calls.remove(57);
    for answer in all(calls).await {
        assert_eq!(answer.unwrap(), Updated::Done);
    }
    assert!(!waiting.is_finished(), "its row is locked still");
    somebody.query("COMMIT").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Updated::Done);
}

#[tokio::test]
async fn a_create_over_a_row_that_is_not_committed_waits_and_the_others_do_not() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    for (ending, expected) in [("COMMIT", false), ("ROLLBACK", true)] {
        world.server.sql("DELETE FROM idem.records").unwrap();
        create(world.store.clone(), key("model"), claim(9))
            .await
            .unwrap();
        let mut somebody = world.session();
        somebody
            .query(
                "BEGIN; INSERT INTO idem.records SELECT created_at, updated_at, expires_at, attempt, \
                 revision, lease_ms, token, fingerprint, status, scope, 'key-0057', checkpoint, payload \
                 FROM idem.records WHERE key = 'model'",
            )
            .unwrap();
        let creates = keys(100)
            .into_iter()
            .map(|key| create(world.store.clone(), key, claim(1)));
        let mut calls = world.at_once(creates.collect()).await;
        let waiting = calls.remove(57);
        for answer in all(calls).await {
            assert_eq!(answer.unwrap(), Created::New);
        }
        // Whoever comes later is not held up either, although duplicates of the locked key go on
        // coming.
        let duplicate = tokio::spawn(create(world.store.clone(), key("key-0057"), claim(2)));
        for n in 0..50 {
            let other = create(world.store.clone(), key(&format!("later-{n}")), claim(1));
            assert_eq!(other.await.unwrap(), Created::New);
        }
        assert!(
            !waiting.is_finished() && !duplicate.is_finished(),
            "the row is locked still"
        );
        somebody.query(ending).unwrap();
        let answers = [
            waiting.await.unwrap().unwrap(),
            duplicate.await.unwrap().unwrap(),
        ];
        let new = answers
            .iter()
            .filter(|answer| **answer == Created::New)
            .count();
        assert_eq!(new, usize::from(expected), "S1 after {ending}");
    }
}

#[tokio::test]
async fn an_expired_row_that_is_locked_delays_its_own_caller() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    for key in keys(100) {
        create(world.store.clone(), key, claim(1)).await.unwrap();
    }
    world
        .server
        .sql("UPDATE idem.records SET expires_at = now()")
        .unwrap();
    let mut somebody = world.session();
    somebody
        .query("BEGIN; SELECT 1 FROM idem.records WHERE key = 'key-0057' FOR UPDATE")
        .unwrap();
    let creates = keys(100)
        .into_iter()
        .map(|key| create(world.store.clone(), key, claim(2)));
    let mut calls = world.at_once(creates.collect()).await;
    let waiting = calls.remove(57);
    for answer in all(calls).await {
        assert_eq!(
            answer.unwrap(),
            Created::New,
            "S5: what is expired is absent"
        );
    }
    assert!(!waiting.is_finished(), "its row is locked still");
    somebody.query("ROLLBACK").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Created::New);
}

#[tokio::test]
async fn s9_a_row_that_stays_locked_is_an_error_that_says_so() {
    let brief = PostgresConfig::default().lock_timeout(Duration::from_millis(100));
    let Some(world) = World::with(brief).await else {
        return;
    };
    create(world.store.clone(), key("k"), claim(1))
        .await
        .unwrap();
    let mut somebody = world.session();
    somebody
        .query("BEGIN; SELECT 1 FROM idem.records FOR UPDATE")
        .unwrap();
    for _ in 0..2 {
        let error = complete(world.store.clone(), key("k"), claim(1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("lock"), "{error}");
    }
    // Reading waits for nobody, and neither does a claim that finds it.
    assert!(world.store.get(&key("k")).await.unwrap().is_some());
    let found = create(world.store.clone(), key("k"), claim(2))
        .await
        .unwrap();
    assert!(matches!(found, Created::Exists(_)));
    somebody.query("COMMIT").unwrap();
    let done = complete(world.store.clone(), key("k"), claim(1))
        .await
        .unwrap();
    assert_eq!(done, Updated::Done);
}

/// Two processes write the same keys all the time, in batches that overlap in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_two_processes_never_deadlock() {
    let Some(world) = World::open().await else {
        return;
    };
    let stores = [world.store.clone(), world.elsewhere().await];
    let mut tasks = Vec::new();
    for (owner, store) in (0_u8..).zip(stores) {
        for task in 0..40 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let mut done = 0;
                for round in 0..30 {
                    let key = key(&format!("key-{}", (task * 7 + round) % 20));
                    let mine = claim(owner * 40 + u8::try_from(task).unwrap());
                    if store.create(&key, &mine, LONG).await.unwrap() == Created::New {
                        let ended = completed(&mine, "answer");
                        let updated = store.update(&key, mine.version, &ended, LONG).await;
                        assert_eq!(updated.unwrap(), Updated::Done, "S2: its version is there");
                        store.delete(&key, ended.version).await.unwrap();
                        done += 1;
                    }
                }
                done
            }));
        }
    }
    let done: u32 = all(tasks).await.iter().sum();
    assert!(done > 0);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'";
    assert_eq!(world.number(deadlocks), 0);
}

/// The long transaction is the store's own, in the transactional mode.
#[tokio::test]
async fn a_long_transaction_on_one_key_holds_up_no_other() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    let idem = idem_core::Idempotency::builder(world.store.clone())
        .build()
        .unwrap();
    let transactional = world.store.transactional(&idem);
    let request = idem_core::Fingerprint::of("tests", b"request");
    let held = key("held");
    let duplicates = Mutex::new(Vec::new());
    let held = transactional.once_in_tx(&held, &request, async |_| {
        // A duplicate by other means, which finds neither a record nor a place.
        let duplicate = tokio::spawn(create(world.store.clone(), key("held"), claim(1)));
        for round in 0..20 {
            let others = (0..20).map(|n| key(&format!("other-{round}-{n}")));
            let creates =
                others.map(|key| tokio::spawn(create(world.store.clone(), key, claim(1))));
            for answer in all(creates.collect()).await {
                assert_eq!(answer.unwrap(), Created::New);
            }
        }
        assert!(!duplicate.is_finished(), "the key is held still");
        duplicates.lock().unwrap().push(duplicate);
        Err::<(), _>(sqlx::Error::RowNotFound)
    });
    let Err(idem_postgres::TxError::Work(_)) = held.await else {
        panic!("it was to be rolled back");
    };
    for duplicate in all(duplicates.into_inner().unwrap()).await {
        assert_eq!(duplicate.unwrap(), Created::New);
    }
}
