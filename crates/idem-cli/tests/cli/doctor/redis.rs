//! Redis.

use std::time::Duration;

use idem_core::store::State;
use idem_redis::RedisStore;
use idem_testbed::{AppendFsync, Cluster, Redis, RedisBuilder, Sentinel, skip_or_fail};

use super::{finds, is_mended};
use crate::{idem::Idem, planted};

/// As it should be.
fn sound() -> RedisBuilder {
    Redis::builder()
        .append_only(AppendFsync::Always)
        .max_memory("64mb", "noeviction")
}

fn set(redis: &Redis, name: &str, value: &str) {
    redis.command(&["CONFIG", "SET", name, value]).unwrap();
}

#[tokio::test]
async fn what_redis_is_set_to_is_found_and_mended() {
    let Some(redis) = skip_or_fail(sound().start().await) else {
        return;
    };
    let idem = Idem::at(redis.url());
    idem.run("doctor").expect(0);
    for (name, bad, good, code) in [
        (
            "maxmemory-policy",
            "allkeys-lru",
            "noeviction",
            "redis-evicts",
        ),
        ("maxmemory", "0", "64mb", "redis-no-maxmemory"),
        ("appendfsync", "everysec", "always", "redis-fsync-everysec"),
        ("appendfsync", "no", "always", "redis-fsync-no"),
    ] {
        set(&redis, name, bad);
        finds(&idem, "", code);
        set(&redis, name, good);
        is_mended(&idem, "", code);
    }
    set(&redis, "appendfsync", "everysec");
    is_mended(&idem, "--survives process", "redis-fsync-everysec");
    set(&redis, "appendonly", "no");
    set(&redis, "save", "3600 1");
    finds(&idem, "", "redis-snapshots-only");
    set(&redis, "save", "");
    finds(&idem, "--survives process", "redis-no-persistence");
    set(&redis, "appendonly", "yes");
    is_mended(&idem, "", "redis-no-persistence");
    finds(&idem, "--survives failover", "redis-no-replica");
}

#[tokio::test]
async fn a_server_that_is_nearly_full_is_found() {
    let Some(redis) = skip_or_fail(sound().start().await) else {
        return;
    };
    let idem = Idem::at(redis.url());
    let blob = "x".repeat(6 << 20);
    redis.command(&["SET", "somebody:else", &blob]).unwrap();
    set(&redis, "maxmemory", "9mb");
    finds(&idem, "", "redis-memory-near");
    set(&redis, "maxmemory", "64mb");
    is_mended(&idem, "", "redis-memory-near");

    // Room for what is there, and none for a whole retention of what is planned.
    let few = idem.run("doctor --json --per-second 9");
    assert_eq!(few.findings(), ["room-unknown"], "{few:?}");
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    for n in 0..100 {
        let payload = idem_core::Bytes::from_static(&[7; 300]);
        let (key, state) = (format!("shop:{n}"), State::Completed { payload });
        planted::put(&store, &key, state, Duration::from_secs(3600)).await;
    }
    finds(&idem, "--per-second 9", "room-too-small");
    is_mended(&idem, "--per-second 9 --retention 1h", "room-too-small");
}

#[tokio::test]
async fn another_application_under_the_prefix_is_found() {
    let Some(redis) = skip_or_fail(sound().start().await) else {
        return;
    };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    planted::every_state(&store).await;
    let idem = Idem::at(redis.url());
    is_mended(&idem, "", "redis-shared-prefix");
    redis
        .command(&["SET", "idem:session:42", "a session"])
        .unwrap();
    finds(&idem, "", "redis-shared-prefix");
    let own = Idem::at(format!("{}?prefix=billing:", redis.url()));
    is_mended(&own, "", "redis-shared-prefix");
}

#[tokio::test]
async fn a_user_who_may_not_ask_is_told_so() {
    let rules = "app on >secret ~idem:* &* +@read +@write +@scripting +@connection";
    let Some(redis) = skip_or_fail(sound().user(rules).start().await) else {
        return;
    };
    let idem = Idem::at(redis.url_as("app", "secret"));
    let ran = idem.run("doctor --json");
    assert!(
        ran.findings().contains(&"redis-cannot-ask".to_owned()),
        "{ran:?}"
    );
    assert!(!ran.out.contains("secret"), "{ran:?}");
    idem.run("list").expect(0);
}

#[tokio::test]
async fn a_cluster_behind_a_plain_url_is_found() {
    let started = Cluster::builder().node(sound()).start().await;
    let Some(cluster) = skip_or_fail(started) else {
        return;
    };
    let plain = Idem::at(cluster.urls()[0].clone());
    finds(&plain, "", "redis-cluster-url");
    is_mended(&Idem::at(cluster.url()), "", "redis-cluster-url");
    finds(&Idem::at(cluster.url()), "", "redis-min-replicas");
}

#[tokio::test]
async fn sentinels_and_replicas_behind_a_plain_url_are_found() {
    let started = Sentinel::builder().node(sound()).start().await;
    let Some(sentinel) = skip_or_fail(started) else {
        return;
    };
    let primary = sentinel.primary().await.unwrap();
    finds(&Idem::at(primary.url()), "", "redis-behind-sentinel");
    let nodes = sentinel.nodes();
    let replica = nodes.iter().find(|node| node.port() != primary.port());
    finds(&Idem::at(replica.unwrap().url()), "", "redis-replica-url");
    let first = sentinel.sentinels()[0].address();
    finds(
        &Idem::at(format!("redis://{first}/")),
        "",
        "redis-sentinel-url",
    );
    let right = Idem::at(sentinel.url());
    for code in [
        "redis-behind-sentinel",
        "redis-replica-url",
        "redis-sentinel-url",
    ] {
        is_mended(&right, "", code);
    }
    finds(&right, "", "redis-min-replicas");
    set(&primary, "min-replicas-to-write", "1");
    is_mended(&right, "", "redis-min-replicas");
}

#[test]
fn a_server_that_is_away_is_found() {
    finds(&Idem::at("redis://127.0.0.1:1/"), "", "cannot-connect");
}
