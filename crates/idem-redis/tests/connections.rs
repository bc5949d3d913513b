//! Stores over connections that the application has already.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{acquire, fingerprint, key, replayed};
use idem_core::{
    Claim, Idempotency, Policy, Refused,
    store::{Browse, Filter, StoreErrorKind, Watch},
};
use idem_redis::{
    Connection, RedisConfig, RedisStore,
    redis::{self, ProtocolVersion, cluster::ClusterClientBuilder},
};
use idem_testbed::{Cluster, Redis, skip_or_fail};

async fn store_over(connection: impl Into<Connection>) -> RedisStore {
    let store = RedisStore::new(connection, RedisConfig::default());
    store.await.unwrap()
}

/// One claim of each outcome, over one of each command.
async fn exercise(store: &RedisStore, text: &str) {
    let idem = Idempotency::builder(store.clone()).build().unwrap();
    let key = key(text);
    let execution = acquire(&idem, &key).await;
    let claim = idem.claim(&key, &fingerprint()).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { .. })),
        "{text}: {claim:?}"
    );
    execution.complete("answer").await.unwrap();
    assert_eq!(&replayed(&idem, &key).await[..], b"answer", "{text}");
    let removed = common::key(&format!("{text}-removed"));
    let released = acquire(&idem, &removed).await;
    released.release().await.unwrap();
    common::delete(store, &removed).await;
    let page = store.browse(&Filter::default(), None, 1000).await.unwrap();
    assert!(
        page.records.iter().any(|(found, _)| *found == key),
        "{text}"
    );
}

#[tokio::test]
async fn a_multiplexed_connection_in_both_versions_of_the_protocol() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    for protocol in ["resp2", "resp3"] {
        let url = format!("{}?protocol={protocol}", server.url());
        let client = redis::Client::open(url).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        exercise(&store_over(connection).await, protocol).await;
    }
}

/// It comes back by itself after a restart, and so does the store.
#[tokio::test]
async fn a_connection_manager() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let manager = client.get_connection_manager().await.unwrap();
    let store = store_over(Connection::new(manager)).await;
    exercise(&store, "before").await;
    server.kill();
    server.restart().await.unwrap();
    let patient = Policy::default().retry_budget(common::PATIENCE);
    let idem = Idempotency::builder(store.clone()).policy(patient);
    let execution = acquire(&idem.build().unwrap(), &key("across")).await;
    execution.complete("answer").await.unwrap();
    exercise(&store, "after").await;
}

/// However it is handed over, a Cluster is seen to be one: all of its nodes are listed.
#[tokio::test]
async fn a_cluster_connection() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let client = ClusterClientBuilder::new(cluster.urls())
            .use_protocol(protocol)
            .retries(0)
            .build()
            .unwrap();
        let connection = client.get_async_connection().await.unwrap();
        for connection in [
            Connection::new(connection.clone()),
            Connection::from(connection),
        ] {
            let store = store_over(connection).await;
            let before = store
                .browse(&Filter::default(), None, 1000)
                .await
                .unwrap()
                .records
                .len();
            for n in 0..20 {
                exercise(&store, &format!("{protocol:?}-{before}-{n}")).await;
            }
            let mut listed = 0;
            let mut after = None;
            loop {
                let page = store
                    .browse(&Filter::default(), after.as_ref(), 7)
                    .await
                    .unwrap();
                assert!(page.records.len() <= 7);
                listed += page.records.len();
                after = match page.next {
                    Some(next) => Some(next),
                    None => break,
                };
            }
            assert_eq!(listed, before + 20);
        }
    }
}

/// There is nothing to listen with, which is told; waiters then poll.
#[tokio::test]
async fn a_store_over_a_given_connection_cannot_listen() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let watch = store_over(connection).await.watch(&key("k")).await;
    assert_eq!(watch.err().unwrap().kind(), StoreErrorKind::Config);
}

#[cfg(feature = "sentinel-client")]
#[tokio::test]
async fn a_sentinel_client() {
    use idem_testbed::Sentinel;
    use redis::sentinel::{SentinelClient, SentinelServerType};

    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let addresses = sentinel.sentinel_addresses();
    let urls = addresses
        .iter()
        .map(|at| format!("redis://{at}/"))
        .collect();
    let name = sentinel.service_name().to_owned();
    let client = SentinelClient::build(urls, name, None, SentinelServerType::Master).unwrap();
    let config = RedisConfig::default();
    let store = RedisStore::new(Connection::sentinel(client, &config), config).await;
    let store = store.unwrap();
    exercise(&store, "before").await;
    sentinel.kill_primary().await.unwrap();
    let patient = Policy::default().retry_budget(common::PATIENCE);
    let idem = Idempotency::builder(store.clone()).policy(patient);
    let execution = acquire(&idem.build().unwrap(), &key("across")).await;
    execution.complete("answer").await.unwrap();
    exercise(&store, "after").await;
}
