//! A record whose time runs out while somebody's write to it is under way: whether it is there
//! depends on how that write ends, and nobody says so before.

use std::time::Duration;

use idem_core::store::{
    Deleted, State, Store, StoreError, StoreErrorKind, Stored, Updated, Version,
};
use idem_postgres::{PostgresConfig, PostgresStore, Protocol};
use idem_testbed::{Postgres, postgres::SqlClient};
use tokio::task::JoinHandle;

use crate::world::{World, all, claim, complete, completed, create, key, keys, patient};

const LEVELS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

/// A server of this default level, and a store that waits.
async fn world(level: &str, protocol: Protocol) -> Option<World> {
    let server = Postgres::builder().setting("default_transaction_isolation", level);
    World::over(server, patient().protocol(protocol)).await
}

/// Files a record of each key, has somebody replace one that is about to expire, in a transaction
/// that goes on, and lets its time run out.
async fn replaced_late(world: &World, all_keys: &[&str], replaced: &str) -> SqlClient {
    world.server.sql("DELETE FROM idem.records").unwrap();
    for name in all_keys {
        let created = create(world.store.clone(), key(name), claim(1)).await;
        created.unwrap();
    }
    let soon = format!(
        "UPDATE idem.records SET expires_at = clock_timestamp() + interval '100 ms' \
         WHERE key = '{replaced}'"
    );
    world.server.sql(&soon).unwrap();
    let mut somebody = world.session();
    let replace = format!(
        "BEGIN; UPDATE idem.records SET revision = 2, status = 'completed', lease_ms = NULL, \
         payload = 'answer', expires_at = clock_timestamp() + interval '1 hour' \
         WHERE key = '{replaced}'"
    );
    somebody.query(&replace).unwrap();
    while !expired(world, replaced) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    somebody
}

fn expired(world: &World, name: &str) -> bool {
    let left = format!(
        "SELECT count(*) FROM idem.records \
         WHERE key = '{name}' AND expires_at > clock_timestamp()"
    );
    world.number(&left) == 0
}

/// Until a call waits for a lock; so many others do already.
async fn until_it_waits<T>(world: &World, call: &JoinHandle<T>, others: u64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while world.number(waiting) <= others {
        assert!(!call.is_finished(), "it had an answer before there was one");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The version that somebody's transaction writes.
fn second() -> Version {
    completed(&claim(1), "answer").version
}

fn version(found: Option<Stored>) -> Option<Version> {
    found.map(|found| found.record.version)
}

fn get(store: &PostgresStore, name: &str) -> JoinHandle<Result<Option<Stored>, StoreError>> {
    let (store, key) = (store.clone(), key(name));
    tokio::spawn(async move { store.get(&key).await })
}

/// S5: an update that came in time stands, so nobody was told before that its record is absent.
#[tokio::test]
async fn s5_a_look_at_an_expired_row_waits_for_the_update_that_is_under_way() {
    for (level, protocol) in LEVELS
        .map(|level| (level, Protocol::Prepared))
        .into_iter()
        .chain([(LEVELS[0], Protocol::Simple)])
    {
        let Some(world) = world(level, protocol).await else {
            return;
        };
        for (ending, left) in [("COMMIT", Some(second())), ("ROLLBACK", None)] {
            let mut somebody = replaced_late(&world, &["k"], "k").await;
            let looking = get(&world.store, "k");
            until_it_waits(&world, &looking, 0).await;
            somebody.query(ending).unwrap();
            let found = looking.await.unwrap().unwrap();
            assert_eq!(version(found), left, "after {ending} at {level}");
        }
    }
}

/// S2: what an update and a delete say that found nothing is as sure.
#[tokio::test]
async fn s5_a_write_to_an_expired_row_waits_for_the_update_that_is_under_way() {
    for level in LEVELS {
        let Some(world) = world(level, Protocol::Prepared).await else {
            return;
        };
        for (ending, left) in [("COMMIT", Some(second())), ("ROLLBACK", None)] {
            let mut somebody = replaced_late(&world, &["k"], "k").await;
            let updating = tokio::spawn(complete(world.store.clone(), key("k"), claim(1)));
            until_it_waits(&world, &updating, 0).await;
            let elsewhere = world.elsewhere_with(patient()).await;
            let deleting = tokio::spawn(async move {
                let key = key("k");
                elsewhere.delete(&key, claim(1).version).await
            });
            until_it_waits(&world, &deleting, 1).await;
            somebody.query(ending).unwrap();
            let Updated::Conflict(found) = updating.await.unwrap().unwrap() else {
                panic!("S5: its record was expired, or of another version");
            };
            assert_eq!(version(found), left, "an update after {ending} at {level}");
            let Deleted::Conflict(found) = deleting.await.unwrap().unwrap() else {
                panic!("S5: its record was expired, or of another version");
            };
            assert_eq!(version(found), left, "a delete after {ending} at {level}");
        }
    }
}

/// G5: nor does it say "absent" when it has waited for long enough.
#[tokio::test]
async fn g5_an_update_that_stays_under_way_is_an_error_that_says_so() {
    let brief = PostgresConfig::default().lock_timeout(Duration::from_millis(100));
    let Some(world) = World::with(brief).await else {
        return;
    };
    let mut somebody = replaced_late(&world, &["k"], "k").await;
    let looked = world.store.get(&key("k")).await;
    let updated = complete(world.store.clone(), key("k"), claim(1)).await;
    for error in [looked.unwrap_err(), updated.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("lock"), "{error}");
    }
    somebody.query("COMMIT").unwrap();
    let found = world.store.get(&key("k")).await.unwrap();
    assert_eq!(version(found), Some(second()));
}

#[tokio::test]
async fn a_look_that_waits_holds_up_no_other() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    let names: Vec<_> = keys(100).iter().map(|key| key.key().to_owned()).collect();
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    let mut somebody = replaced_late(&world, &names, names[57]).await;
    let looks = keys(100).into_iter().map(|key| {
        let store = world.store.clone();
        async move { store.get(&key).await }
    });
    let mut looks = world.at_once(looks.collect()).await;
    let waiting = looks.remove(57);
    for found in all(looks).await {
        assert_eq!(version(found.unwrap()), Some(claim(1).version));
    }
    assert!(!waiting.is_finished(), "its row is undecided still");
    somebody.query("COMMIT").unwrap();
    let found = waiting.await.unwrap().unwrap();
    assert_eq!(version(found), Some(second()));
}

/// An expired row is absent when nobody is at work on it, and that is said by a batch as well.
#[tokio::test]
async fn s5_expired_rows_that_nobody_writes_to_are_absent() {
    let Some(world) = World::with(patient()).await else {
        return;
    };
    for key in keys(100) {
        create(world.store.clone(), key, claim(1)).await.unwrap();
    }
    let past = "UPDATE idem.records SET expires_at = clock_timestamp()";
    world.server.sql(past).unwrap();
    let looks = keys(100).into_iter().map(|key| {
        let store = world.store.clone();
        async move { store.get(&key).await }
    });
    for found in all(world.at_once(looks.collect()).await).await {
        assert!(found.unwrap().is_none());
    }
    let updates = keys(100)
        .into_iter()
        .map(|key| complete(world.store.clone(), key, claim(1)));
    for updated in all(world.at_once(updates.collect()).await).await {
        assert_eq!(updated.unwrap(), Updated::Conflict(None));
    }
}

/// S5: a record that expires while an update waits for its row is absent to that update too.
/// Otherwise whoever looked meanwhile was told something else.
#[tokio::test]
async fn s5_an_update_that_waited_past_the_expiry_does_not_apply() {
    for level in LEVELS {
        let Some(world) = world(level, Protocol::Prepared).await else {
            return;
        };
        let ttl = Duration::from_millis(1000);
        let created = world.store.create(&key("k"), &claim(1), ttl).await;
        created.unwrap();
        let mut somebody = world.session();
        somebody
            .query("BEGIN; SELECT 1 FROM idem.records FOR SHARE")
            .unwrap();
        let updating = tokio::spawn(complete(world.store.clone(), key("k"), claim(1)));
        until_it_waits(&world, &updating, 0).await;
        while !expired(&world, "k") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let found = world.store.get(&key("k")).await.unwrap();
        assert_eq!(found, None, "somebody holds it and changes nothing");
        somebody.query("COMMIT").unwrap();
        assert_eq!(
            updating.await.unwrap().unwrap(),
            Updated::Conflict(None),
            "at {level}"
        );
    }
}

/// A claim of a key whose record has expired, and whose holder is about to end it after all.
#[tokio::test]
async fn s1_a_create_over_an_expired_row_waits_for_the_update_that_is_under_way() {
    for level in LEVELS {
        let Some(world) = world(level, Protocol::Prepared).await else {
            return;
        };
        for (ending, left) in [("COMMIT", Some(second())), ("ROLLBACK", None)] {
            let mut somebody = replaced_late(&world, &["k"], "k").await;
            let creating = tokio::spawn(create(world.store.clone(), key("k"), claim(2)));
            until_it_waits(&world, &creating, 0).await;
            somebody.query(ending).unwrap();
            let found = match creating.await.unwrap().unwrap() {
                idem_core::store::Created::New => None,
                idem_core::store::Created::Exists(found) => {
                    assert!(matches!(found.record.state, State::Completed { .. }));
                    Some(found)
                }
            };
            assert_eq!(version(found), left, "after {ending} at {level}");
        }
        let found = world.store.get(&key("k")).await.unwrap();
        assert_eq!(version(found), Some(claim(2).version), "it was rolled back");
    }
}
