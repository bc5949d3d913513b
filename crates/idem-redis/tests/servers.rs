//! What the store learns of a server, and when.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{net::TcpListener, time::Duration};

use common::{TTL, claim_record, completed, random_key};
use futures_util::{future::join_all, task::noop_waker_ref};
use idem_core::store::{Created, Record, State, Store, StoreErrorKind, Updated};
use idem_redis::{RedisConfig, RedisStore};
use idem_testbed::{AppendFsync, Redis, skip_or_fail};

/// S6: a server that came back with another `maxmemory-policy` is refused, until it is mended.
#[tokio::test]
async fn s6_a_server_that_evicts_since_its_restart_is_refused() {
    let builder = Redis::builder().append_only(AppendFsync::Always);
    let Some(server) = skip_or_fail(builder.start().await) else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let set_policy = |policy: &str| {
        server
            .command(&["CONFIG", "SET", "maxmemory-policy", policy])
            .unwrap();
        let others = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        server.command(&others).unwrap();
    };
    let create = async || {
        loop {
            let (key, record) = (random_key(), claim_record());
            match store.create(&key, &record, TTL).await {
                // The connection is seen to be broken by the first call only.
                Err(error) if error.kind().is_transient() => {}
                created => break created,
            }
        }
    };
    set_policy("allkeys-lru");
    let error = create().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("allkeys-lru"), "{error}");
    set_policy("noeviction");
    assert_eq!(create().await.unwrap(), Created::New);
}

/// A claim, and its ending with so many bytes.
async fn execute(store: &RedisStore, bytes: usize) -> Result<Updated, StoreErrorKind> {
    let (key, claim) = (random_key(), claim_record());
    assert_eq!(store.create(&key, &claim, TTL).await.unwrap(), Created::New);
    let payload = vec![b'x'; bytes].into();
    let ending = Record {
        state: State::Completed { payload },
        ..completed(&claim, "")
    };
    let updated = store.update(&key, claim.version, &ending, TTL).await;
    let updated = updated.map_err(|error| error.kind());
    if updated.is_err() {
        let kept = store.get(&key).await.unwrap().unwrap();
        assert_eq!(kept.record, claim, "certainly not applied");
    }
    updated
}

/// S9: an answer that the server would break the connection over is too large, and harms nobody.
#[tokio::test]
async fn s9_an_answer_beyond_the_servers_limit_is_too_large() {
    for limit in ["proto-max-bulk-len", "client-query-buffer-limit"] {
        let builder = Redis::builder().directive(limit, "1mb");
        let Some(server) = skip_or_fail(builder.start().await) else {
            return;
        };
        let store = RedisStore::connect(&server.url()).await.unwrap();
        assert_eq!(
            execute(&store, 2 << 20).await,
            Err(StoreErrorKind::TooLarge)
        );
        assert_eq!(execute(&store, 1 << 19).await, Ok(Updated::Done));
    }
}

/// S9: while a server hangs, what could not be sent is told as such: the first calls may have been
/// applied, the ones behind them were not.
#[tokio::test]
async fn s9_a_call_that_was_never_sent_is_unavailable_not_unknown() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let calls = async |n: usize| {
        let made: Vec<_> = (0..n).map(|_| (random_key(), claim_record())).collect();
        let creates = made
            .iter()
            .map(|(key, record)| store.create(key, record, TTL));
        join_all(creates).await
    };
    server.pause();
    for created in calls(1).await {
        assert_eq!(created.unwrap_err().kind(), StoreErrorKind::Unknown);
    }
    for created in calls(2000).await {
        assert_eq!(created.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    server.resume();
}

/// A connect that was begun on a runtime that nobody drives any more is replaced.
#[test]
fn s10_a_connect_left_on_a_runtime_that_stands_still_blocks_nobody() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let driven = runtime();
    let Some(server) = driven.block_on(async { skip_or_fail(Redis::start().await) }) else {
        return;
    };
    let config = RedisConfig::default().connect_timeout(Duration::from_millis(200));
    let first = runtime();
    let store = first
        .block_on(RedisStore::connect_with(&server.url(), config))
        .unwrap();
    // Its connection goes with its runtime.
    drop(first);
    let stands_still = runtime();
    let (key, record) = (random_key(), claim_record());
    let create = || store.create(&key, &record, TTL);
    // The first call finds the old connection broken, and the next one begins another.
    let left = (0..10).map(|_| create()).find_map(|mut create| {
        let _entered = stands_still.enter();
        let mut cx = std::task::Context::from_waker(noop_waker_ref());
        create.as_mut().poll(&mut cx).is_pending().then_some(create)
    });
    assert!(left.is_some());
    let (key, record) = (random_key(), claim_record());
    let created = driven.block_on(async {
        let create = async || loop {
            match store.create(&key, &record, TTL).await {
                Err(error) if error.kind().is_transient() => {}
                created => break created,
            }
        };
        tokio::time::timeout(common::PATIENCE, create()).await
    });
    assert_eq!(created.unwrap().unwrap(), Created::New);
}

/// Two applications on one server keep out of each other's way by a prefix in their URLs.
#[tokio::test]
async fn s8_a_prefix_in_the_url_keeps_two_applications_apart() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let url = |prefix: &str| format!("{}?prefix={prefix}", server.url());
    let (key, record) = (random_key(), claim_record());
    for prefix in ["billing:", "ship%70ing:"] {
        let store = RedisStore::connect(&url(prefix)).await.unwrap();
        let created = store.create(&key, &record, TTL).await;
        assert_eq!(created.unwrap(), Created::New);
    }
    let name = format!("shipping:{}", key.as_str());
    let there = server.command(&["EXISTS", &name]).unwrap();
    assert_eq!(format!("{there:?}"), "Integer(1)");
    let error = RedisStore::connect(&url("%zz")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
}

/// Nothing listens, or nobody answers: nothing was sent.
#[tokio::test]
async fn s9_no_connection_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = RedisConfig::default().connect_timeout(Duration::from_millis(200));
    for address in [
        "127.0.0.1:1".to_owned(),
        silent.local_addr().unwrap().to_string(),
    ] {
        let url = format!("redis://{address}/");
        let error = RedisStore::connect_with(&url, config.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
}
