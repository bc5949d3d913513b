//! Calls made at the same time travel together, and still have nothing to do with each other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{task::Context, time::Duration};

use common::{
    CommandCounts, TTL, claim_record, completed, name, random_key, replaces_natively, store,
};
use futures_util::{
    future::{join_all, poll_immediate},
    task::noop_waker_ref,
};
use idem_core::{
    RecordKey,
    store::{Created, Record, Store, StoreError, StoreErrorKind, Stored, Updated},
};
use idem_redis::{Durability, RedisConfig, RedisStore};
use idem_testbed::{Redis, Sentinel, redis::Reply, skip_or_fail};
use tokio::{runtime::Runtime, time::timeout};

/// Enough for several runs of the script.
const MANY: usize = 200;

/// Claims of so many keys.
async fn claims(store: &RedisStore, n: usize) -> Vec<(RecordKey, Record)> {
    let claims: Vec<_> = (0..n).map(|_| (random_key(), claim_record())).collect();
    claim_all(store, &claims).await;
    claims
}

/// Makes all claims at the same time.
async fn claim_all(store: &RedisStore, claims: &[(RecordKey, Record)]) {
    let creates = claims
        .iter()
        .map(|(key, record)| store.create(key, record, TTL));
    for created in join_all(creates).await {
        assert_eq!(created.unwrap(), Created::New);
    }
}

fn endings(claims: &[(RecordKey, Record)]) -> Vec<Record> {
    let claims = claims.iter();
    claims
        .map(|(_, claim)| completed(claim, "answer"))
        .collect()
}

/// Ends all claims at the same time.
async fn end_all(
    store: &RedisStore,
    claims: &[(RecordKey, Record)],
    endings: &[Record],
) -> Vec<Result<Updated, StoreError>> {
    let updates = claims
        .iter()
        .zip(endings)
        .map(|((key, claim), ending)| store.update(key, claim.version, ending, TTL));
    join_all(updates).await
}

async fn found(store: &RedisStore, key: &RecordKey) -> Option<Record> {
    let stored = store.get(key).await.unwrap();
    stored.map(|Stored { record, .. }| record)
}

/// S2, S9: whatever one caller finds, the others' records are replaced; and each one is told what
/// was there instead of its own.
#[tokio::test]
async fn s9_what_is_wrong_with_one_record_is_its_own_caller_s_matter() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = store(&server).await;
    let claims = claims(&store, MANY).await;
    let endings = endings(&claims);
    let (gone, foreign, taken, damaged) = (5, 50, 100, 150);
    server.command(&["DEL", &name(&claims[gone].0)]).unwrap();
    server.command(&["DEL", &name(&claims[foreign].0)]).unwrap();
    server
        .command(&["HSET", &name(&claims[foreign].0), "a", "b"])
        .unwrap();
    server
        .command(&["SET", &name(&claims[damaged].0), "no record"])
        .unwrap();
    let successor = claim_record();
    server.command(&["DEL", &name(&claims[taken].0)]).unwrap();
    let created = store.create(&claims[taken].0, &successor, TTL).await;
    assert_eq!(created.unwrap(), Created::New);

    for (n, updated) in end_all(&store, &claims, &endings)
        .await
        .into_iter()
        .enumerate()
    {
        let (key, _) = &claims[n];
        match updated {
            Ok(Updated::Done) => assert_eq!(found(&store, key).await.as_ref(), Some(&endings[n])),
            Ok(Updated::Conflict(None)) => assert_eq!(n, gone),
            Ok(Updated::Conflict(Some(found))) => {
                assert_eq!(n, taken);
                assert_eq!(found.record, successor);
                assert!(found.age.is_some());
            }
            Err(error) => {
                assert!(n == foreign || n == damaged, "{n}: {error}");
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
            }
        }
    }
}

/// S10: callers that go away, before or after their write is sent, take nobody with them.
#[tokio::test]
async fn s10_callers_that_go_away_hold_nobody_up() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = store(&server).await;
    let claims = claims(&store, MANY).await;
    let endings = endings(&claims);
    let mut updates: Vec<_> = claims
        .iter()
        .zip(&endings)
        .map(|((key, claim), ending)| Some(store.update(key, claim.version, ending, TTL)))
        .collect();
    for (n, update) in updates.iter_mut().enumerate() {
        let early = poll_immediate(update.as_mut().unwrap()).await;
        assert!(early.is_none(), "nothing was sent yet");
        if n % 3 == 0 {
            *update = None;
        }
    }
    tokio::task::yield_now().await;
    for update in updates.iter_mut().skip(1).step_by(3) {
        *update = None;
    }
    for updated in join_all(updates.into_iter().flatten()).await {
        assert_eq!(updated.unwrap(), Updated::Done);
    }
    for ((key, claim), ending) in claims.iter().zip(&endings) {
        let found = found(&store, key).await.unwrap();
        assert!(found == *claim || found == *ending, "{found:?}");
    }
}

/// A server that forgot the script is taught it, and every record is replaced, once.
#[tokio::test]
async fn forgotten_scripts_cost_no_caller_its_write() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = store(&server).await;
    let claims = claims(&store, MANY).await;
    server.command(&["SCRIPT", "FLUSH"]).unwrap();
    let endings = endings(&claims);
    for updated in end_all(&store, &claims, &endings).await {
        assert_eq!(updated.unwrap(), Updated::Done);
    }
}

/// The server runs the script once for many records, where it has no command of its own for them.
#[tokio::test]
async fn records_are_replaced_together() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = store(&server).await;
    // The store learns what the server has.
    let (key, claim) = claims(&store, 1).await.remove(0);
    let ending = completed(&claim, "answer");
    let updated = store.update(&key, claim.version, &ending, TTL).await;
    assert_eq!(updated.unwrap(), Updated::Done);
    let claims = claims(&store, MANY).await;
    let endings = endings(&claims);
    let mut counts = CommandCounts::of(&server);
    for updated in end_all(&store, &claims, &endings).await {
        assert_eq!(updated.unwrap(), Updated::Done);
    }
    let ran = counts.taken();
    let count = |command: &str| ran.get(command).copied().unwrap_or(0);
    assert_eq!(count("set") + count("psetex"), MANY as u64, "{ran:?}");
    let few = 0..=MANY as u64 / 8;
    assert!(few.contains(&count("evalsha")), "{ran:?}");
    match replaces_natively(server.binary()) {
        // But for the few whose value was crowded out of the store's memory.
        true => assert!(few.contains(&count("getrange")), "{ran:?}"),
        false => assert_eq!(count("getrange"), MANY as u64, "{ran:?}"),
    }
}

/// S2, S5: records travel together whatever their ttls and however long their versions are, and each
/// is compared with its own version and kept for its own time.
#[tokio::test]
async fn s2_each_record_is_replaced_on_its_own_terms() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    // The revisions that one byte has room for, and those that need two.
    let revisions = [1, 126, 127, 128, 300];
    let ttls = [TTL, 2 * TTL, 3 * TTL];
    let ttl = |n: usize| ttls[n % ttls.len()];
    let mut claims: Vec<_> = (0..MANY).map(|_| (random_key(), claim_record())).collect();
    for (n, (_, claim)) in claims.iter_mut().enumerate() {
        claim.version.revision = revisions[n % revisions.len()];
    }
    claim_all(&store(&server).await, &claims).await;
    // One that wrote none of the claims has no command of the server's to compare them with.
    let other = store(&server).await;
    let endings = endings(&claims);
    let stale = |n: usize| n.is_multiple_of(7);
    let updates = claims.iter().zip(&endings).enumerate();
    let updates = updates.map(|(n, ((key, claim), ending))| {
        let mut expected = claim.version;
        expected.revision += u64::from(stale(n));
        other.update(key, expected, ending, ttl(n))
    });
    for (n, updated) in join_all(updates).await.into_iter().enumerate() {
        let (key, claim) = &claims[n];
        let Reply::Integer(left) = server.command(&["PTTL", &name(key)]).unwrap() else {
            panic!("{n}: no ttl");
        };
        let (record, kept) = match updated.unwrap() {
            Updated::Done if !stale(n) => (&endings[n], ttl(n)),
            Updated::Conflict(Some(_)) if stale(n) => (claim, TTL),
            other => panic!("{n}: {other:?}"),
        };
        assert_eq!(found(&other, key).await.as_ref(), Some(record), "{n}");
        let kept = kept.as_millis() as i64;
        assert!(
            (kept - 600_000..=kept).contains(&left),
            "{n}: {left} of {kept}"
        );
    }
}

/// One wait serves all writes before it, and each of them is as durable as it has to be.
#[tokio::test]
async fn s9_writes_wait_for_their_replicas_together() {
    let Some(sentinel) = skip_or_fail(Sentinel::start().await) else {
        return;
    };
    let primary = sentinel.primary().await.unwrap();
    let config = RedisConfig::default().durability(Durability::Replicated {
        replicas: 2,
        timeout: Duration::from_secs(5),
    });
    let store = RedisStore::connect_with(&primary.url(), config)
        .await
        .unwrap();
    let mut counts = CommandCounts::of(&primary);
    let claims = claims(&store, MANY).await;
    let ran = counts.taken();
    assert!((1..=MANY as u64 / 8).contains(&ran["wait"]), "{ran:?}");

    for replica in sentinel.nodes() {
        if replica.port() != primary.port() {
            replica.pause();
        }
    }
    let config = RedisConfig::default().durability(Durability::Replicated {
        replicas: 2,
        timeout: Duration::from_millis(50),
    });
    let hasty = RedisStore::connect_with(&primary.url(), config)
        .await
        .unwrap();
    let endings = endings(&claims);
    for updated in end_all(&hasty, &claims, &endings).await {
        assert_eq!(updated.unwrap_err().kind(), StoreErrorKind::Unknown);
    }
}

/// A store, its server, and the runtime that its connection is on.
fn connected() -> Option<(Runtime, Redis, RedisStore)> {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(async { skip_or_fail(Redis::start().await) })?;
    let store = runtime.block_on(store(&server));
    Some((runtime, server, store))
}

/// G5: what a runtime had not sent when it was shut down is unknown to its own callers, wherever they
/// ask on, and touches nobody on another runtime.
#[test]
fn g5_a_runtime_that_is_shut_down_costs_nobody_on_another_one_its_call() {
    let Some((connected, server, store)) = connected() else {
        return;
    };
    // Built on this thread: what is spawned on it waits until it is run again, which is never.
    let stands_still = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let made: Vec<_> = (0..50).map(|_| (random_key(), claim_record())).collect();
    let mut creates: Vec<_> = made
        .iter()
        .map(|(key, record)| store.create(key, record, TTL))
        .collect();
    server.pause();
    {
        let _entered = stands_still.enter();
        let mut cx = Context::from_waker(noop_waker_ref());
        for create in &mut creates {
            assert!(create.as_mut().poll(&mut cx).is_pending());
        }
    }
    server.resume();
    // Others neither wait for it while it stands still, nor after it is gone.
    connected.block_on(claims(&store, MANY));
    drop(stands_still);
    connected.block_on(claims(&store, MANY));
    // The first ones found nobody else there and went by themselves; their timers are gone.
    let queued = creates.split_off(2);
    drop(creates);
    for (created, (key, record)) in connected.block_on(join_all(queued)).iter().zip(&made[2..]) {
        let error = created.as_ref().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unknown);
        let again = connected.block_on(store.create(key, record, TTL));
        assert_eq!(again.unwrap(), Created::New);
    }
}

/// Lets other tasks of this thread come to rest.
async fn rest() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

/// The tasks that carry calls are few, however many calls there were, and go with the store.
#[tokio::test]
async fn a_store_leaves_no_task_behind() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let store = store(&server).await;
    for _ in 0..20 {
        claims(&store, MANY).await;
    }
    rest().await;
    // The one that flushes, and the driver's.
    assert_eq!(tasks() - before, 2);
    drop(store);
    rest().await;
    assert_eq!(tasks(), before);
}

/// S10: while nobody drives a runtime, its task flushes nothing, and callers on another runtime do not
/// count on it.
#[test]
fn s10_a_runtime_that_stands_still_holds_up_nobody_who_comes_later() {
    let Some((connected, _server, store)) = connected() else {
        return;
    };
    // Comes back as soon as its callers have their answers, whatever other tasks it has.
    let now_and_then = tokio::runtime::Builder::new_current_thread()
        .event_interval(1)
        .enable_all()
        .build()
        .unwrap();
    now_and_then.block_on(claims(&store, MANY));
    let hangs = Duration::from_secs(30);
    let made = connected.block_on(async { timeout(hangs, claims(&store, MANY)).await });
    assert_eq!(made.map(|claims| claims.len()), Ok(MANY));
    // The task that was left behind does its work, or goes, without harm to anybody.
    assert_eq!(now_and_then.block_on(claims(&store, MANY)).len(), MANY);
    drop(now_and_then);
    assert_eq!(connected.block_on(claims(&store, MANY)).len(), MANY);
}
