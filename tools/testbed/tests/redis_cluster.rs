//! Cluster: failover promotes the replica, on its own and on demand; a slot moves with its keys.

use idem_testbed::{
    Cluster, Fault, Redis,
    redis::{Reply, RespClient},
    skip_or_fail,
};

const KEY: &str = "colour";

fn set(redis: &Redis, value: &str) {
    redis
        .command(&["SET", KEY, value])
        .expect("the owner takes writes");
}

/// Waits for the replica, so that it has it when it is promoted.
fn replicate(redis: &Redis, value: &str) {
    let mut client = redis.client().expect("the owner runs");
    client
        .call(&["SET", KEY, value])
        .expect("the owner takes writes");
    let acknowledged = client.call(&["WAIT", "1", "0"]).expect("WAIT is allowed");
    assert_eq!(acknowledged, Reply::Integer(1));
}

fn get(redis: &Redis) -> Option<String> {
    redis.command(&["GET", KEY]).expect("GET is allowed").text()
}

/// What a client is told that is not connected to where the key is.
fn refusal(redis: &Redis, command: &[&str]) -> String {
    let mut client = redis.client().expect("the node runs");
    match client.call(command).expect("the node answers") {
        Reply::Error(error) => error,
        other => panic!("{other} where an error was expected"),
    }
}

async fn other_primary(cluster: &Cluster, owner: &Redis) -> Redis {
    let primaries = cluster.primaries().await.expect("they agree");
    let mut others = primaries.into_iter();
    others
        .find(|node| node.port() != owner.port())
        .expect("there are three primaries")
}

#[tokio::test]
async fn a_killed_owner_is_replaced_and_comes_back_as_a_replica() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let slot = cluster.slot_of(KEY).unwrap();
    let old = cluster.owner_of(slot).await.unwrap();
    replicate(&old, "before");

    let new = cluster.kill_owner(slot).await.unwrap();
    assert_ne!(new.port(), old.port());
    assert_eq!(get(&new).as_deref(), Some("before"));
    set(&new, "after");

    old.restart().await.unwrap();
    cluster.settled().await.unwrap();
    assert!(refusal(&old, &["SET", KEY, "v"]).starts_with("MOVED"));
    assert_eq!(cluster.replica_of(slot).await.unwrap().port(), old.port());
}

#[tokio::test]
async fn a_failover_on_demand_loses_nothing_and_can_be_repeated() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let slot = cluster.slot_of(KEY).unwrap();
    for round in 0..3 {
        let old = cluster.owner_of(slot).await.unwrap();
        set(&old, &round.to_string());
        let new = cluster.failover(slot).await.unwrap();
        assert_ne!(new.port(), old.port());
        assert_eq!(get(&new), Some(round.to_string()));
    }
}

#[tokio::test]
async fn a_paused_owner_is_replaced() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let slot = cluster.slot_of(KEY).unwrap();
    let old = cluster.owner_of(slot).await.unwrap();
    old.pause();
    let new = cluster.owner_after(slot, &old).await.unwrap();
    assert_ne!(new.port(), old.port());
    old.resume();
    cluster.settled().await.unwrap();
    assert_eq!(cluster.owner_of(slot).await.unwrap().port(), new.port());
}

#[tokio::test]
async fn a_slot_moves_with_its_keys_and_asks_in_between() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let slot = cluster.slot_of(KEY).unwrap();
    let from = cluster.owner_of(slot).await.unwrap();
    let to = other_primary(&cluster, &from).await;
    from.command(&["SET", KEY, "blue", "PX", "60000"]).unwrap();
    for n in 0..250 {
        from.command(&["SET", &format!("{{{KEY}}}{n}"), "v"])
            .unwrap();
    }

    let migration = cluster.begin_migration(slot, &to).await.unwrap();
    assert_eq!(get(&from).as_deref(), Some("blue"), "not moved yet");
    let absent = format!("{{{KEY}}}absent");
    assert!(refusal(&from, &["GET", &absent]).starts_with("ASK"));
    assert_eq!(migration.move_keys().await.unwrap(), 251);
    assert!(refusal(&from, &["GET", KEY]).starts_with("ASK"));
    migration.finish().await.unwrap();

    assert!(refusal(&from, &["GET", KEY]).starts_with("MOVED"));
    assert_eq!(get(&to).as_deref(), Some("blue"));
    let ttl = to.command(&["PTTL", KEY]).unwrap();
    assert!(matches!(ttl, Reply::Integer(1..=60_000)), "{ttl}");
    assert_eq!(cluster.owner_of(slot).await.unwrap().port(), to.port());

    cluster.migrate_slot(slot, &from).await.unwrap();
    assert_eq!(get(&from).as_deref(), Some("blue"), "and back");
}

#[tokio::test]
async fn clients_are_sent_through_the_proxies() {
    let started = Cluster::builder().behind_proxies().start().await;
    let Some(cluster) = skip_or_fail(started) else {
        return;
    };
    let slot = cluster.slot_of(KEY).unwrap();
    let owner = cluster.owner_of(slot).await.unwrap();
    let proxy = cluster.proxy_of(&owner).unwrap();
    let moved = refusal(&other_primary(&cluster, &owner).await, &["GET", KEY]);
    assert_eq!(moved, format!("MOVED {slot} {}", proxy.address()));
    assert!(cluster.addresses().contains(&proxy.address()));

    proxy.arm(Fault::LoseReply.once().command("SET"));
    let mut client = RespClient::connect(proxy.address()).unwrap();
    assert!(client.call(&["SET", KEY, "v"]).is_err());
    assert_eq!(get(&owner).as_deref(), Some("v"));

    let new = cluster.kill_owner(slot).await.unwrap();
    assert_eq!(get(&new).as_deref(), Some("v"));
}
