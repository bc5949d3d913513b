//! A claim of a key that this process saw ended reads first, and is answered as any other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{CommandCounts, TTL, acquire, claim_record, completed, key, name, random_key, store};
use futures_util::future::join_all;
use idem_core::{
    Claim, Idempotency, RecordKey,
    store::{Created, Record, Store, StoreErrorKind},
};
use idem_redis::{RedisConfig, RedisStore, redis};
use idem_testbed::{Redis, skip_or_fail};

/// Enough for several commands.
const MANY: usize = 200;

fn engine(store: &RedisStore) -> Idempotency {
    Idempotency::builder(store.clone()).build().unwrap()
}

/// Records that ended in this process.
async fn ended(store: &RedisStore, n: usize) -> Vec<(RecordKey, Record)> {
    let ending = async |n: usize| {
        let (key, claim) = (random_key(), claim_record());
        let created = store.create(&key, &claim, TTL).await.unwrap();
        assert_eq!(created, Created::New);
        let ending = Record {
            state: idem_core::store::State::Completed {
                payload: format!("answer {n}").into(),
            },
            ..completed(&claim, "")
        };
        let updated = store.update(&key, claim.version, &ending, TTL).await;
        assert_eq!(updated.unwrap(), idem_core::store::Updated::Done);
        (key, ending)
    };
    join_all((0..n).map(ending)).await
}

/// Claims all of them at the same time.
async fn claim_all(
    store: &RedisStore,
    records: &[(RecordKey, Record)],
) -> Vec<Result<Created, idem_core::store::StoreError>> {
    let claim = claim_record();
    let creates = records
        .iter()
        .map(|(key, _)| store.create(key, &claim, TTL));
    join_all(creates).await
}

/// Also of what another process ended, from its second replay on.
#[tokio::test]
async fn a_replay_reads_and_no_more() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let (here, there) = (store(&server).await, store(&server).await);
    let ended = ended(&here, 1).await;
    let mut counts = CommandCounts::of(&server);
    for (store, first) in [(here, "getex"), (there, "set")] {
        for command in [first, "getex"] {
            assert!(matches!(
                claim_all(&store, &ended).await.remove(0),
                Ok(Created::Exists(_))
            ));
            let ran = counts.taken();
            assert_eq!(
                ran.into_iter().collect::<Vec<_>>(),
                [(command.to_owned(), 1)]
            );
        }
    }
}

/// Replays made at the same time are read by few commands, and each caller gets its own answer.
#[tokio::test]
async fn g2_replays_travel_together_and_keep_their_answers() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = store(&server).await;
    let ended = ended(&store, MANY).await;
    let mut counts = CommandCounts::of(&server);
    for (created, (_, ending)) in claim_all(&store, &ended).await.into_iter().zip(&ended) {
        let Created::Exists(found) = created.unwrap() else {
            panic!("a key that ended was free");
        };
        assert_eq!(found.record, *ending);
    }
    let ran = counts.taken();
    let few = 1..=MANY as u64 / 8;
    assert!(few.contains(&ran["mget"]), "{ran:?}");
    assert!(few.contains(&ran["getex"]), "{ran:?}");
    // A few keys may have been crowded out.
    let sets = ran.get("set").copied().unwrap_or(0);
    assert!(few.contains(&(sets + 1)), "{ran:?}");
}

/// S5, S2: what is remembered decides about nothing but the command. Some of the keys are gone, some
/// are in flight again, some are no records any more.
#[tokio::test]
async fn s5_a_key_that_has_not_ended_any_more_is_claimed_as_any_other() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let (here, there) = (store(&server).await, store(&server).await);
    let ended = ended(&here, MANY).await;
    let others = claim_record();
    for (n, (key, _)) in ended.iter().enumerate() {
        if n % 4 != 0 {
            server.command(&["DEL", &name(key)]).unwrap();
        }
        match n % 4 {
            2 => {
                let created = there.create(key, &others, TTL).await;
                assert_eq!(created.unwrap(), Created::New);
            }
            3 => {
                server.command(&["HSET", &name(key), "a", "b"]).unwrap();
            }
            _ => {}
        }
    }
    for (n, created) in claim_all(&here, &ended).await.into_iter().enumerate() {
        match (n % 4, created) {
            (0, Ok(Created::Exists(found))) => assert_eq!(found.record, ended[n].1),
            (1, Ok(Created::New)) => {}
            (2, Ok(Created::Exists(found))) => {
                assert_eq!(found.record, others);
                assert!(found.age.is_some(), "its lease can be judged");
            }
            (3, Err(error)) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}"),
            (_, created) => panic!("{n}: {created:?}"),
        }
    }
}

/// G5: a primary that was demoted still has its records, and they may be older than the new
/// primary's. It answers no claim.
#[tokio::test]
async fn g5_a_demoted_primary_answers_no_replay() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let Some(successor) = skip_or_fail(Redis::start().await) else {
        return;
    };
    // A connection that stays, whatever the server says.
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let store = RedisStore::new(connection, RedisConfig::default())
        .await
        .unwrap();
    let ended = ended(&store, MANY).await;
    successor.pause();
    let port = successor.port().to_string();
    server.command(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    let stale = server.command(&["GET", &name(&ended[0].0)]).unwrap();
    assert!(stale.text().is_some(), "it would be answered");
    for created in claim_all(&store, &ended)
        .await
        .into_iter()
        .chain(claim_all(&store, &ended[..1]).await)
    {
        assert_eq!(created.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    successor.resume();
}

/// G2: an answer that is read first is as durable as one that is found by a claim.
#[tokio::test]
async fn g2_a_replay_waits_for_the_replicas_that_it_was_promised() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let ended_here = async |replicas| {
        let durability = idem_redis::Durability::Replicated {
            replicas,
            timeout: Duration::from_millis(50),
        };
        let config = RedisConfig::default().durability(durability);
        RedisStore::connect_with(&server.url(), config)
            .await
            .unwrap()
    };
    // Nobody replicates from this server: the ending is there, and its caller does not know.
    let store = ended_here(1).await;
    let idem = engine(&common::store(&server).await);
    let execution = acquire(&idem, &key("k")).await;
    execution.complete("answer").await.unwrap();
    for _ in 0..2 {
        let created = store.create(&key("k"), &claim_record(), TTL).await;
        assert_eq!(created.unwrap_err().kind(), StoreErrorKind::Unknown);
    }
    assert!(matches!(
        idem.claim(&key("k"), &common::fingerprint()).await,
        Ok(Claim::Replay(_))
    ));
}
