//! Sentinel: failover promotes a replica, on its own and on demand, and the old primary comes back
//! as a replica.

use idem_testbed::{Fault, Redis, Sentinel, redis::RespClient, skip_or_fail};

fn set(redis: &Redis, key: &str, value: &str) {
    redis
        .command(&["SET", key, value])
        .expect("a primary takes writes");
}

fn get(redis: &Redis, key: &str) -> Option<String> {
    redis.command(&["GET", key]).expect("GET is allowed").text()
}

/// Waits for both replicas, so that whichever is promoted has it.
fn replicate(redis: &Redis, key: &str, value: &str) {
    let mut client = redis.client().expect("the primary runs");
    client
        .call(&["SET", key, value])
        .expect("a primary takes writes");
    let acknowledged = client.call(&["WAIT", "2", "0"]).expect("WAIT is allowed");
    assert_eq!(acknowledged.text().as_deref(), Some("2"));
}

#[tokio::test]
async fn a_killed_primary_is_replaced_and_comes_back_as_a_replica() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let old = sentinel.primary().await.unwrap();
    replicate(&old, "k", "before");

    let new = sentinel.kill_primary().await.unwrap();
    assert_ne!(new.port(), old.port());
    assert_eq!(get(&new, "k").as_deref(), Some("before"));
    set(&new, "k", "after");

    old.restart().await.unwrap();
    sentinel.settled().await.unwrap();
    assert_eq!(get(&old, "k").as_deref(), Some("after"));
    assert!(
        old.command(&["SET", "k", "v"]).is_err(),
        "a replica takes no writes"
    );
}

#[tokio::test]
async fn a_failover_on_demand_loses_nothing_and_can_be_repeated() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    for round in 0..3 {
        let old = sentinel.primary().await.unwrap();
        replicate(&old, "round", &round.to_string());
        let new = sentinel.failover().await.unwrap();
        assert_ne!(new.port(), old.port());
        assert!(old.is_running());
        assert_eq!(get(&new, "round"), Some(round.to_string()));
    }
}

#[tokio::test]
async fn a_failover_needs_neither_every_replica_nor_every_sentinel() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let old = sentinel.primary().await.unwrap();
    sentinel.nodes()[2].kill();
    sentinel.sentinels()[0].kill();
    sentinel.settled().await.unwrap();
    let new = sentinel.failover().await.unwrap();
    assert_eq!(new.port(), sentinel.nodes()[1].port());
    assert!(old.is_running());
}

#[tokio::test]
async fn a_paused_primary_is_replaced_and_gives_way_when_resumed() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let old = sentinel.primary().await.unwrap();
    old.pause();
    let new = sentinel.primary_after(&old).await.unwrap();
    set(&new, "k", "new");
    old.resume();
    sentinel.settled().await.unwrap();
    assert_eq!(get(&old, "k").as_deref(), Some("new"));
}

/// What a Sentinel thinks of the primary.
fn flags(sentinel: &Sentinel, asked: &Redis) -> String {
    let primary = asked
        .command(&["SENTINEL", "MASTER", sentinel.service_name()])
        .expect("SENTINEL is allowed");
    let mut fields = primary.elements().chunks_exact(2);
    let flags = fields.find(|field| field[0].text().as_deref() == Some("flags"));
    let flags = flags.expect("a primary has flags");
    flags[1].text().expect("flags are text")
}

/// A primary that is back while the Sentinels still replace it serves and is followed, and will be
/// replaced all the same.
#[tokio::test]
async fn a_failover_that_is_under_way_is_not_settled() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let old = sentinel.primary().await.unwrap();
    let replaces = |asked: &Redis| flags(&sentinel, asked).contains("failover_in_progress");
    old.pause();
    while !sentinel.sentinels().iter().any(replaces) {
        tokio::task::yield_now().await;
    }
    old.resume();
    sentinel.settled().await.unwrap();
    for asked in sentinel.sentinels() {
        assert_eq!(flags(&sentinel, asked), "master");
    }
}

#[tokio::test]
async fn clients_are_sent_through_the_proxies() {
    let started = Sentinel::builder().behind_proxies().start().await;
    let Some(sentinel) = skip_or_fail(started) else {
        return;
    };
    let primary = sentinel.primary().await.unwrap();
    let proxy = sentinel.proxy_of(&primary).unwrap();
    let named = sentinel.sentinels()[0]
        .command(&[
            "SENTINEL",
            "GET-MASTER-ADDR-BY-NAME",
            sentinel.service_name(),
        ])
        .unwrap();
    assert_eq!(named.elements()[1].text(), Some(proxy.port().to_string()));

    proxy.arm(Fault::LoseReply.once().command("SET"));
    let mut client = RespClient::connect(proxy.address()).unwrap();
    assert!(client.call(&["SET", "k", "v"]).is_err());
    assert_eq!(get(&primary, "k").as_deref(), Some("v"));

    let new = sentinel.failover().await.unwrap();
    assert_ne!(new.port(), primary.port());
}

#[tokio::test]
async fn a_primary_cut_off_by_its_proxy_is_replaced() {
    let started = Sentinel::builder().behind_proxies().start().await;
    let Some(sentinel) = skip_or_fail(started) else {
        return;
    };
    let old = sentinel.primary().await.unwrap();
    let proxy = sentinel.proxy_of(&old).unwrap();
    proxy.refuse();
    proxy.cut_connections();
    let new = sentinel.primary_after(&old).await.unwrap();
    assert_ne!(new.port(), old.port());
    proxy.accept();
    sentinel.settled().await.unwrap();
}
