//! Servers that evict, that are full, that let a user do little, that are out of reach.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{acquire, fingerprint, key, replayed};
use idem_core::{
    Claim, Failure, Idempotency, Recording, Refused,
    error::ExecuteError,
    store::{Browse, Filter, StoreErrorKind, Watch},
};
use idem_redis::{Durability, RedisConfig, RedisStore};
use idem_testbed::{Redis, RedisBuilder, skip_or_fail};

async fn started(builder: RedisBuilder) -> Option<Redis> {
    skip_or_fail(builder.start().await)
}

/// S6: an evicted record is a forgotten request.
#[tokio::test]
async fn s6_a_server_that_evicts_is_refused_unless_it_is_accepted() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let Some(server) = started(Redis::builder().max_memory("64mb", policy)).await else {
            return;
        };
        let error = RedisStore::connect(&server.url()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains(policy), "{error}");
        let config = RedisConfig::default().allow_eviction();
        let store = RedisStore::connect_with(&server.url(), config).await;
        store.unwrap();
    }
}

/// S6, G6: a full server runs nothing new, loses nothing, and replays what it has.
#[tokio::test]
async fn s6_a_full_server_executes_nothing_and_loses_nothing() {
    let Some(server) = started(Redis::builder().max_memory("8mb", "noeviction")).await else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let idem = Idempotency::builder(store).build().unwrap();
    let ran = AtomicUsize::new(0);
    let execute = async |n: usize| {
        let key = key(&n.to_string());
        idem.execute(&key, &fingerprint(), async |_| {
            ran.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Failure<String>>("x".repeat(64 << 10))
        })
        .await
    };

    let mut stored = Vec::new();
    let mut tried = 0;
    let refused = loop {
        let ran_so_far = ran.load(Ordering::Relaxed);
        match execute(tried).await {
            Ok(outcome) if outcome.recording == Recording::Stored => stored.push(tried),
            // It ran, and then there was no room for its answer.
            Ok(_) | Err(ExecuteError::Unstorable { .. }) => {}
            Err(ExecuteError::Claim(error)) => {
                assert_eq!(ran.load(Ordering::Relaxed), ran_so_far, "G6: nothing ran");
                break error.source;
            }
            Err(other) => panic!("S6: {other}"),
        }
        tried += 1;
        assert!(tried < 1000, "8 MiB are never full");
    };
    assert_eq!(refused.kind(), StoreErrorKind::Full);
    assert!(stored.len() > 10, "there was room at first");
    for n in stored {
        let outcome = execute(n).await.unwrap();
        assert!(outcome.replayed, "S6: nothing is lost");
    }
}

/// G5: an ending that found no room is not dropped; it lands when there is some.
#[tokio::test]
async fn g5_an_ending_waits_for_room() {
    let Some(server) = started(Redis::builder()).await else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let idem = Idempotency::builder(store).build().unwrap();
    let execution = acquire(&idem, &key("k")).await;
    server
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .unwrap();
    let told = execution.complete("answer").await;
    assert_eq!(told, Ok(Recording::Pending));
    server
        .command(&["CONFIG", "SET", "maxmemory", "0"])
        .unwrap();
    idem.wait_idle().await;
    assert_eq!(&replayed(&idem, &key("k")).await[..], b"answer");
}

/// The rights that the documentation names are enough for all that a store does.
#[tokio::test]
async fn the_documented_rights_are_enough() {
    let rules = [
        "app on >secret ~idem:* +@all -@dangerous",
        "app on >secret ~idem:* +@read +@write +@scripting +@connection +wait",
    ];
    for rules in rules {
        let Some(server) = started(Redis::builder().user(rules)).await else {
            return;
        };
        let url = server.url_as("app", "secret");
        let config = RedisConfig::default().durability(Durability::Replicated {
            replicas: 0,
            timeout: std::time::Duration::from_secs(1),
        });
        let store = RedisStore::connect_with(&url, config).await.unwrap();
        let idem = Idempotency::builder(store.clone()).build().unwrap();
        store.watch(&key("k")).await.unwrap();
        let execution = acquire(&idem, &key("k")).await;
        let busy = idem.claim(&key("k"), &fingerprint()).await.unwrap();
        assert!(
            matches!(busy, Claim::Refused(Refused::InFlight { .. })),
            "{rules}"
        );
        execution.checkpoint("half-way").await.unwrap();
        assert_eq!(execution.complete("answer").await, Ok(Recording::Stored));
        assert_eq!(&replayed(&idem, &key("k")).await[..], b"answer");
        let released = acquire(&idem, &key("released")).await;
        assert_eq!(released.release().await, Ok(Recording::Stored));
        common::delete(&store, &key("released")).await;
        assert_eq!(
            store
                .browse(&Filter::default(), None, 10)
                .await
                .unwrap()
                .records
                .len(),
            1
        );
    }
}

/// S9: what can never work is told apart from what may work later.
#[tokio::test]
async fn s9_a_wrong_password_and_a_missing_right_are_matters_of_configuration() {
    let rules = "app on >secret ~other:* +@all -@dangerous";
    let Some(server) = started(Redis::builder().user(rules)).await else {
        return;
    };
    let wrong = RedisStore::connect(&server.url_as("app", "wrong")).await;
    assert_eq!(wrong.unwrap_err().kind(), StoreErrorKind::Config);
    let store = RedisStore::connect(&server.url_as("app", "secret")).await;
    let idem = Idempotency::builder(store.unwrap()).build().unwrap();
    let error = idem.claim(&key("k"), &fingerprint()).await.unwrap_err();
    assert_eq!(error.source.kind(), StoreErrorKind::Config);
}

/// S7: a key of somebody else under the prefix is an error, and stays as it is.
#[tokio::test]
async fn s7_a_foreign_key_is_never_overwritten() {
    let Some(server) = started(Redis::builder()).await else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let idem = Idempotency::builder(store).build().unwrap();
    server.command(&["RPUSH", "idem:tests:list", "x"]).unwrap();
    server.command(&["SET", "idem:tests:text", "x"]).unwrap();
    for text in ["list", "text"] {
        let error = idem.claim(&key(text), &fingerprint()).await.unwrap_err();
        assert_eq!(error.source.kind(), StoreErrorKind::Corrupt, "{text}");
    }
    let text = server.command(&["GET", "idem:tests:text"]).unwrap();
    assert_eq!(text.text().as_deref(), Some("x"));
}

/// S4: a record without a ttl has no age; better an error than a lease that never ends.
#[tokio::test]
async fn s4_a_record_that_lost_its_ttl_is_an_error() {
    let Some(server) = started(Redis::builder()).await else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let idem = Idempotency::builder(store).build().unwrap();
    let execution = acquire(&idem, &key("k")).await;
    server.command(&["PERSIST", "idem:tests:k"]).unwrap();
    let error = idem.claim(&key("k"), &fingerprint()).await.unwrap_err();
    assert_eq!(error.source.kind(), StoreErrorKind::Corrupt);
    // Its holder is not concerned.
    assert_eq!(execution.complete("answer").await, Ok(Recording::Stored));
    assert_eq!(&replayed(&idem, &key("k")).await[..], b"answer");
}

/// However long a user is willing to wait.
#[tokio::test]
async fn a_timeout_without_end_is_a_timeout() {
    let Some(server) = started(Redis::builder()).await else {
        return;
    };
    let timeout = std::time::Duration::MAX;
    let config = RedisConfig::default()
        .connect_timeout(timeout)
        .response_timeout(timeout)
        .durability(Durability::Replicated {
            replicas: 0,
            timeout,
        });
    let store = RedisStore::connect_with(&server.url(), config).await;
    let idem = Idempotency::builder(store.unwrap()).build().unwrap();
    let execution = acquire(&idem, &key("k")).await;
    assert!(execution.complete("ok").await.is_ok());
}
