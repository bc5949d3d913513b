//! What shares a flush, and what a server's refusal of it means to each caller.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{CommandCounts, TTL, claim_record, completed, random_key, store};
use futures_util::future::join_all;
use idem_core::{
    RecordKey,
    store::{Created, Record, State, Store, StoreErrorKind, Updated},
};
use idem_redis::RedisStore;
use idem_testbed::{Cluster, Redis, skip_or_fail};

const MANY: usize = 200;

/// Claims of so many keys, made at the same time.
async fn claims(store: &RedisStore, n: usize) -> Vec<(RecordKey, Record)> {
    let claims: Vec<_> = (0..n).map(|_| (random_key(), claim_record())).collect();
    let creates = claims
        .iter()
        .map(|(key, record)| store.create(key, record, TTL));
    for created in join_all(creates).await {
        assert_eq!(created.unwrap(), Created::New);
    }
    claims
}

/// Ends all of them at the same time.
async fn end(store: &RedisStore, claims: &[(RecordKey, Record)], payload: &'static str) {
    let endings: Vec<_> = claims
        .iter()
        .map(|(_, claim)| completed(claim, payload))
        .collect();
    let updates = claims
        .iter()
        .zip(&endings)
        .map(|((key, claim), ending)| store.update(key, claim.version, ending, TTL));
    for updated in join_all(updates).await {
        assert_eq!(updated.unwrap(), Updated::Done);
    }
}

/// Reads all of them at the same time, in two ways: by a claim and by `get`.
async fn read(store: &RedisStore, claims: &[(RecordKey, Record)]) {
    let other = claim_record();
    let creates = claims.iter().map(|(key, _)| store.create(key, &other, TTL));
    for created in join_all(creates).await {
        assert!(matches!(created.unwrap(), Created::Exists(_)));
    }
    let gets = claims.iter().map(|(key, _)| store.get(key));
    for found in join_all(gets).await {
        let found = found.unwrap().unwrap();
        assert!(matches!(found.record.state, State::Completed { .. }));
        assert!(found.age.is_some() && found.remaining.is_some());
    }
}

/// S9: a node of a Cluster refuses a command whose keys lie in several slots. Behind a plain `redis://`
/// each record then has a command of its own, from the start.
#[tokio::test]
async fn s9_a_server_in_cluster_mode_behind_a_plain_url_takes_every_call_under_load() {
    let builder = Redis::builder().directive("cluster-enabled", "yes");
    let Some(server) = skip_or_fail(builder.start().await) else {
        return;
    };
    server
        .command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
        .unwrap();
    while !server
        .command(&["CLUSTER", "INFO"])
        .unwrap()
        .text()
        .unwrap()
        .contains("state:ok")
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let store = store(&server).await;
    let claims = claims(&store, MANY).await;
    end(&store, &claims, "answer").await;
    read(&store, &claims).await;
    let refused = server.command(&["INFO", "errorstats"]).unwrap();
    assert!(!refused.text().unwrap().contains("CROSSSLOT"));
}

/// S9: the same where nothing tells before the first refusal: each caller has an answer of its own, and
/// the server is not asked that way again.
#[tokio::test]
async fn s9_a_refusal_of_a_batch_is_nobodys_answer_and_is_remembered() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let rules = "app on >secret ~idem:* +@all -@dangerous -mget";
    let user: Vec<_> = ["ACL", "SETUSER"]
        .into_iter()
        .chain(rules.split(' '))
        .collect();
    server.command(&user).unwrap();
    let store = RedisStore::connect(&server.url_as("app", "secret"))
        .await
        .unwrap();
    let claims = claims(&store, MANY).await;
    end(&store, &claims, "answer").await;
    read(&store, &claims).await;
    let refusals = || {
        let stats = server
            .command(&["INFO", "commandstats"])
            .unwrap()
            .text()
            .unwrap();
        let line = stats
            .lines()
            .find(|line| line.starts_with("cmdstat_mget"))
            .unwrap()
            .to_owned();
        line.rsplit_once("rejected_calls=")
            .unwrap()
            .1
            .split(',')
            .next()
            .unwrap()
            .to_owned()
    };
    let before = refusals();
    read(&store, &claims).await;
    assert_eq!(refusals(), before);
}

/// S9: a user may be kept from one key. Its caller is told so, and nobody else.
#[tokio::test]
async fn s9_a_key_that_the_user_may_not_touch_is_its_own_callers_matter() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let all = store(&server).await;
    let claims = claims(&all, MANY).await;
    end(&all, &claims, "answer").await;
    let hidden = 7;
    let mut user = vec![
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "+@all",
        "-@dangerous",
    ];
    let names: Vec<_> = claims
        .iter()
        .map(|(key, _)| format!("~{}", common::name(key)))
        .collect();
    user.extend(
        names
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != hidden)
            .map(|(_, name)| &**name),
    );
    server.command(&user).unwrap();
    let some = RedisStore::connect(&server.url_as("app", "secret"))
        .await
        .unwrap();
    for _ in 0..2 {
        let gets = claims.iter().map(|(key, _)| some.get(key));
        for (n, found) in join_all(gets).await.into_iter().enumerate() {
            match found {
                Ok(found) => assert!(n != hidden && found.is_some()),
                Err(error) => {
                    assert_eq!(n, hidden, "{error}");
                    assert_eq!(error.kind(), StoreErrorKind::Config);
                }
            }
        }
    }
}

/// However many callers ask for a record at the same time, a flush reads it once, and the callers share
/// what it read.
#[tokio::test]
async fn a_record_that_many_ask_for_is_read_once_per_flush() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = store(&server).await;
    let large: &'static str = "x".repeat(1 << 20).leak();
    let claims = claims(&store, 1).await;
    end(&store, &claims, large).await;
    let key = &claims[0].0;
    let mut counts = CommandCounts::of(&server);
    let found = join_all((0..1000).map(|_| store.get(key))).await;
    for found in found {
        let State::Completed { payload } = found.unwrap().unwrap().record.state else {
            panic!("not completed");
        };
        assert_eq!(payload.len(), large.len());
    }
    let ran = counts.taken();
    assert!(ran["getex"] <= 32, "{ran:?}");
}

/// Requests to a node of a Cluster share a flush, and every caller has its own answer.
#[tokio::test]
async fn in_a_cluster_each_node_has_its_batches() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    let claims = claims(&store, MANY).await;
    end(&store, &claims, "answer").await;
    read(&store, &claims).await;
}

/// S9: a slot moves while requests share flushes: what one node refuses is sent to the other one, and
/// no caller notices.
#[tokio::test]
async fn s9_a_slot_that_moves_refuses_no_neighbour() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    let claims = claims(&store, MANY).await;
    let slot = cluster.slot_of(&common::name(&claims[0].0)).unwrap();
    let owner = cluster.owner_of(slot).await.unwrap();
    let primaries = cluster.primaries().await.unwrap();
    let other = primaries
        .into_iter()
        .find(|node| node.port() != owner.port());
    cluster.migrate_slot(slot, &other.unwrap()).await.unwrap();
    end(&store, &claims, "answer").await;
    read(&store, &claims).await;
}
