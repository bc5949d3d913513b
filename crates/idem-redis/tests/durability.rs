//! What a write survives, and that a caller is told no more than that.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{TTL, acquire, claim_record, completed, fingerprint, key, random_key};
use idem_core::{
    Claim, Idempotency, Policy, Refused,
    store::{Created, Store, StoreError, StoreErrorKind, Updated},
};
use idem_redis::{Durability, RedisConfig, RedisStore};
use idem_testbed::{AppendFsync, Redis, RedisFlavor, Sentinel, skip_or_fail};

const REPLICATED: Durability = Durability::Replicated {
    replicas: 2,
    timeout: Duration::from_millis(50),
};
/// The same for who waits as long as replicas take to catch up on a busy machine: one call is told.
const PATIENTLY_REPLICATED: Durability = Durability::Replicated {
    replicas: 2,
    timeout: common::PATIENCE,
};
const FSYNCED: Durability = Durability::Fsynced {
    replicas: 0,
    timeout: Duration::from_secs(5),
};

/// A primary with two replicas, of which the replicas can be made to hear nothing.
struct Replication {
    sentinel: Sentinel,
    primary: Redis,
    replicas: Vec<Redis>,
}

impl Replication {
    async fn start() -> Option<Self> {
        let sentinel = skip_or_fail(Sentinel::start().await)?;
        let primary = sentinel.primary().await.unwrap();
        let nodes = sentinel.nodes().into_iter();
        let replicas = nodes.filter(|node| node.port() != primary.port());
        Some(Self {
            replicas: replicas.collect(),
            primary,
            sentinel,
        })
    }

    async fn store(&self, durability: Durability) -> RedisStore {
        let config = RedisConfig::default().durability(durability);
        let url = self.primary.url();
        RedisStore::connect_with(&url, config).await.unwrap()
    }

    /// Two stores that need both replicas, and have little or much time for them.
    async fn hasty_and_patient(&self) -> (RedisStore, RedisStore) {
        (
            self.store(REPLICATED).await,
            self.store(PATIENTLY_REPLICATED).await,
        )
    }

    fn pause(&self) {
        self.replicas.iter().for_each(Redis::pause);
    }

    fn resume(&self) {
        self.replicas.iter().for_each(Redis::resume);
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

/// A claim is not given before the replicas have it, however often it is asked for; then it is.
#[tokio::test]
async fn s9_a_create_is_unknown_until_the_replicas_have_it() {
    let Some(replication) = Replication::start().await else {
        return;
    };
    let (hasty, patient) = replication.hasty_and_patient().await;
    let (key, claim) = (random_key(), claim_record());
    replication.pause();
    for _ in 0..3 {
        // The second time the record is there, and still not confirmed.
        let created = hasty.create(&key, &claim, TTL).await;
        assert_eq!(kind(created), StoreErrorKind::Unknown);
    }
    replication.resume();
    match patient.create(&key, &claim, TTL).await.unwrap() {
        Created::Exists(found) => assert_eq!(found.record, claim),
        Created::New => panic!("it was there already"),
    }
}

/// An ending likewise.
#[tokio::test]
async fn s9_an_update_is_unknown_until_the_replicas_have_it() {
    let Some(replication) = Replication::start().await else {
        return;
    };
    let (hasty, patient) = replication.hasty_and_patient().await;
    let (key, claim) = (random_key(), claim_record());
    let created = patient.create(&key, &claim, TTL).await.unwrap();
    assert_eq!(created, Created::New);
    let done = completed(&claim, "answer");
    replication.pause();
    for _ in 0..3 {
        let updated = hasty.update(&key, claim.version, &done, TTL).await;
        assert_eq!(kind(updated), StoreErrorKind::Unknown);
    }
    replication.resume();
    let updated = patient.update(&key, claim.version, &done, TTL).await;
    match updated.unwrap() {
        Updated::Conflict(Some(found)) => assert_eq!(found.record, done),
        other => panic!("it was written already: {other:?}"),
    }
}

/// G2: somebody else's answer is replayed only once it cannot be lost any more.
#[tokio::test]
async fn g2_an_answer_is_not_replayed_before_the_replicas_have_it() {
    let Some(replication) = Replication::start().await else {
        return;
    };
    let careless = replication.store(Durability::Acknowledged).await;
    let (hasty, patient) = replication.hasty_and_patient().await;
    let (key, claim) = (random_key(), claim_record());
    let done = completed(&claim, "answer");
    replication.pause();
    let created = careless.create(&key, &claim, TTL).await.unwrap();
    assert_eq!(created, Created::New);
    let updated = careless.update(&key, claim.version, &done, TTL).await;
    assert_eq!(updated.unwrap(), Updated::Done);
    let repeat = claim_record();
    let created = hasty.create(&key, &repeat, TTL).await;
    assert_eq!(kind(created), StoreErrorKind::Unknown);
    replication.resume();
    match patient.create(&key, &repeat, TTL).await.unwrap() {
        Created::Exists(found) => assert_eq!(found.record, done),
        Created::New => panic!("it was there already"),
    }
}

/// Nobody relies on somebody else's claim, so a busy key is told without waiting.
#[tokio::test]
async fn a_busy_key_waits_for_no_replica() {
    let Some(replication) = Replication::start().await else {
        return;
    };
    let (careless, careful) = (
        replication.store(Durability::Acknowledged).await,
        replication.store(REPLICATED).await,
    );
    let (key, claim) = (random_key(), claim_record());
    replication.pause();
    let created = careless.create(&key, &claim, TTL).await.unwrap();
    assert_eq!(created, Created::New);
    match careful.create(&key, &claim_record(), TTL).await {
        Ok(Created::Exists(found)) => assert_eq!(found.record, claim),
        other => panic!("it is in flight, but the create is told {other:?}"),
    }
    replication.resume();
}

/// The window of a failover: a primary dies whose replicas were cut off before a claim. With
/// `Acknowledged` the claim was given, and is lost; with `Replicated` it is not given.
#[tokio::test]
async fn g1_a_claim_that_can_be_lost_with_the_primary_is_not_given() {
    for (durability, given) in [(Durability::Acknowledged, true), (REPLICATED, false)] {
        let Some(replication) = Replication::start().await else {
            return;
        };
        let store = replication.store(durability).await;
        let (key, claim) = (random_key(), claim_record());
        replication.pause();
        let primary = &replication.primary;
        let cut_off = ["CLIENT", "KILL", "TYPE", "replica"];
        primary.command(&cut_off).unwrap();
        let created = store.create(&key, &claim, TTL).await;
        assert_eq!(created.is_ok(), given, "{durability:?}: {created:?}");
        primary.kill();
        replication.resume();
        let promoted = replication.sentinel.primary_after(primary);
        let promoted = promoted.await.unwrap();
        let store = RedisStore::connect(&promoted.url()).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), None, "it is lost");
    }
}

fn knows_waitaof(server: &Redis) -> bool {
    server.binary().flavor() == RedisFlavor::Valkey || server.binary().version() >= (7, 2, 0)
}

/// The append-only file is written once a second, and the server dies before that.
#[tokio::test]
async fn an_fsynced_claim_outlives_the_server() {
    let builder = Redis::builder().append_only(AppendFsync::EverySecond);
    let Some(server) = skip_or_fail(builder.start().await) else {
        return;
    };
    let config = RedisConfig::default().durability(FSYNCED);
    let store = RedisStore::connect_with(&server.url(), config).await;
    if !knows_waitaof(&server) {
        let error = store.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains("too old"), "{error}");
        return;
    }
    let policy = Policy::default().call_timeout(Duration::from_secs(10));
    let idem = Idempotency::builder(store.unwrap()).policy(policy);
    let idem = idem.build().unwrap();
    let key = key("fsynced");
    let execution = acquire(&idem, &key).await;
    server.kill();
    server.restart().await.unwrap();
    let claim = idem.claim(&key, &fingerprint()).await.unwrap();
    assert!(
        matches!(claim, Claim::Refused(Refused::InFlight { .. })),
        "{claim:?}"
    );
    execution.complete("answer").await.unwrap();
    idem.wait_idle().await;
    server.kill();
    server.restart().await.unwrap();
    assert_eq!(&common::replayed(&idem, &key).await[..], b"answer");
}

/// Without an append-only file nothing can be waited for, which is told at once.
#[tokio::test]
async fn fsynced_needs_an_append_only_file() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let config = RedisConfig::default().durability(FSYNCED);
    let error = RedisStore::connect_with(&server.url(), config)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    let advice = match knows_waitaof(&server) {
        true => "appendonly yes",
        false => "too old",
    };
    assert!(error.to_string().contains(advice), "{error}");
}
