//! Servers that hang, die and come back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use common::{acquire, fingerprint, key, replayed};
use idem_core::{
    Claim, Failure, Idempotency, Policy, Recording, Refused,
    store::{Record, State, Store, Updated, Version},
};
use idem_redis::RedisStore;
use idem_testbed::{AppendFsync, Fault, FaultyProxy, Redis, Sentinel, skip_or_fail};

/// Asks on for as long as a test may take.
fn patient() -> Policy {
    Policy::default().retry_budget(common::PATIENCE)
}

/// Asks once.
fn impatient() -> Policy {
    Policy::default().retry_budget(Duration::ZERO)
}

async fn engine(url: &str, policy: Policy) -> Idempotency {
    let store = RedisStore::connect(url).await.unwrap();
    Idempotency::builder(store).policy(policy).build().unwrap()
}

/// G5: the server stops in its tracks for 5 s. A claim that was asked for meanwhile is acquired by
/// its caller, and the store is usable at once: a call that is not repeated is answered.
#[tokio::test]
async fn g5_a_claim_that_hung_is_acquired_and_the_store_is_usable_at_once() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let idem = engine(&server.url(), patient()).await;
    server.pause();
    let hanging = tokio::spawn({
        let idem = idem.clone();
        async move { acquire(&idem, &key("hung")).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.resume();
    let at_once = idem.with_policy(impatient()).unwrap();
    let other = acquire(&at_once, &key("other")).await;
    assert_eq!(other.complete("other").await, Ok(Recording::Stored));
    let hung = hanging.await.unwrap();
    assert_eq!(hung.attempt(), 1);
    assert_eq!(hung.complete("hung").await, Ok(Recording::Stored));
    assert_eq!(&replayed(&idem, &key("hung")).await[..], b"hung");
}

/// The same where nobody asks until the server is back.
#[tokio::test]
async fn g6_a_claim_that_was_given_up_leaves_the_store_usable_at_once() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let idem = engine(&server.url(), impatient()).await;
    server.pause();
    for _ in 0..2 {
        let claim = idem.claim(&key("hung"), &fingerprint()).await;
        assert!(claim.is_err(), "G6: {claim:?}");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.resume();
    let execution = acquire(&idem, &key("other")).await;
    assert_eq!(execution.complete("other").await, Ok(Recording::Stored));
    // What may have been claimed unnoticed is taken back.
    idem.wait_idle().await;
    let execution = acquire(&idem, &key("hung")).await;
    assert_eq!(execution.release().await, Ok(Recording::Stored));
}

/// G1: a large answer that is long on its way holds up no other key: a renewal that waited behind it
/// would cost its holder the key.
#[tokio::test]
async fn g1_a_large_answer_on_its_way_holds_up_no_other_key() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let proxy = FaultyProxy::start(server.address()).unwrap();
    let idem = engine(&proxy.url(&server.url()), impatient()).await;
    let small = acquire(&idem, &key("small")).await;
    let large = acquire(&idem, &key("large")).await;
    let on_its_way = proxy.arm(Fault::HangRequest.always().larger_than(100_000));
    let ending = tokio::spawn(large.complete(vec![b'x'; 1 << 20]));
    while proxy.counts().hung_requests == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    small.renew().await.unwrap();
    let other = acquire(&idem, &key("other")).await;
    assert_eq!(other.complete("other").await, Ok(Recording::Stored));
    assert_eq!(small.complete("small").await, Ok(Recording::Stored));
    on_its_way.release();
    ending.await.unwrap().unwrap();
    idem.wait_idle().await;
    assert_eq!(replayed(&idem, &key("large")).await.len(), 1 << 20);
}

/// G5: a renewal that overtook its own ending would have it refused, again with each attempt.
#[tokio::test]
async fn g5_nothing_overtakes_a_large_answer_of_the_same_key() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let proxy = FaultyProxy::start(server.address()).unwrap();
    let store = RedisStore::connect(&proxy.url(&server.url()))
        .await
        .unwrap();
    let key = key("large");
    let claim = common::claim_record();
    store.create(&key, &claim, common::PATIENCE).await.unwrap();
    let written = |revision, state| Record {
        version: Version {
            revision,
            ..claim.version
        },
        state,
        ..claim.clone()
    };
    let payload = vec![b'x'; 1 << 20].into();
    let large = written(2, State::Completed { payload });
    let small = written(3, claim.state.clone());
    let update = |record: Record| {
        let (store, key, expected) = (store.clone(), key.clone(), claim.version);
        tokio::spawn(async move {
            store
                .update(&key, expected, &record, common::PATIENCE)
                .await
        })
    };
    // The server knows the script, so that each update is one request.
    let other = common::key("warm");
    store
        .create(&other, &claim, common::PATIENCE)
        .await
        .unwrap();
    let warm = store.update(&other, claim.version, &small, common::PATIENCE);
    assert_eq!(warm.await.unwrap(), Updated::Done);
    let on_its_way = proxy.arm(Fault::HangRequest.always().larger_than(100_000));
    let ending = update(large);
    while proxy.counts().hung_requests == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let renewal = update(small);
    tokio::time::sleep(Duration::from_millis(50)).await;
    on_its_way.release();
    assert_eq!(ending.await.unwrap().unwrap(), Updated::Done);
    assert!(matches!(
        renewal.await.unwrap().unwrap(),
        Updated::Conflict(_)
    ));
}

/// G5: replies to claim, checkpoint, ending and release are lost, one after the other.
#[tokio::test]
async fn g5_every_lost_reply_ends_up_with_the_truth() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let proxy = FaultyProxy::start(server.address()).unwrap();
    let idem = engine(&proxy.url(&server.url()), patient()).await;
    let lose = |key: &str| proxy.arm(Fault::LoseReply.once().containing(key));
    for n in 0..10 {
        let text = format!("order-{n};");
        let lost = [lose(&text), lose(&text), lose(&text)];
        let execution = acquire(&idem, &key(&text)).await;
        execution.checkpoint("half-way").await.unwrap();
        execution.complete("answer").await.unwrap();
        idem.wait_idle().await;
        assert_eq!(lost.map(|armed| armed.hits()), [1; 3]);
        assert_eq!(&replayed(&idem, &key(&text)).await[..], b"answer");

        let text = format!("released-{n};");
        let execution = acquire(&idem, &key(&text)).await;
        let lost = lose(&text);
        execution.release().await.unwrap();
        idem.wait_idle().await;
        assert_eq!(lost.hits(), 1);
        let found = idem.lookup(&key(&text)).await.unwrap().unwrap();
        assert_eq!(found.record.state, State::Released);
    }
}

/// G1, G5: the server is killed between claim and completion, and comes back with its data.
#[tokio::test]
async fn g1_a_completion_lands_after_the_server_was_killed() {
    let builder = Redis::builder().append_only(AppendFsync::Always);
    let Some(server) = skip_or_fail(builder.start().await) else {
        return;
    };
    let idem = engine(&server.url(), patient()).await;
    let ran = AtomicUsize::new(0);
    let execute = async || {
        idem.execute(&key("k"), &fingerprint(), async |_| {
            ran.fetch_add(1, Ordering::Relaxed);
            server.kill();
            server.restart().await.unwrap();
            Ok::<_, Failure<String>>("answer".to_owned())
        })
        .await
        .unwrap()
    };
    assert!(!execute().await.replayed);
    idem.wait_idle().await;
    let again = execute().await;
    assert_eq!((again.value.as_str(), again.replayed), ("answer", true));
    assert_eq!(ran.load(Ordering::Relaxed), 1, "G1: it ran once");
}

/// A failover while the old primary lives on as a replica: its connection refuses writes, and is
/// given up for the new primary's.
#[tokio::test]
async fn g5_a_demoted_primary_is_left() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let idem = engine(&sentinel.url(), patient()).await;
    for n in 0..2 {
        let key = key(&format!("order-{n}"));
        let execution = acquire(&idem, &key).await;
        sentinel.failover().await.unwrap();
        sentinel.settled().await.unwrap();
        let claim = idem.claim(&key, &fingerprint()).await.unwrap();
        assert!(
            matches!(claim, Claim::Refused(Refused::InFlight { .. })),
            "G1: {claim:?}"
        );
        execution.complete("answer").await.unwrap();
        idem.wait_idle().await;
        assert_eq!(&replayed(&idem, &key).await[..], b"answer");
    }
}
