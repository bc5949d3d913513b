//! A server stands still (SIGSTOP) while new keys keep coming: what the engine holds stays bounded.
//!
//! The engine's own test of this runs on virtual time and a store of its own. Here are real clients with
//! their pools, queues and connections, in a process of its own, so that its memory can be read.
//! `IDEM_STANDSTILL_SECONDS` says how long; the everyday run is short.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, fs, time::Duration};

use idem_conformance::FaultStore;
use idem_core::{Claim, Fingerprint, Idempotency, Policy, RecordKey, store::Store};
use idem_postgres::PostgresStore;
use idem_redis::RedisStore;
use idem_testbed::{Postgres, Redis, skip_or_fail};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

/// New keys a second.
const RATE: u32 = 1_000;

/// How long a client waits for its claim.
const PATIENCE: Duration = Duration::from_millis(500);

/// How much the process may grow after the first second: what a client's buffers and the allocator keep.
const MOST_MIB: usize = 16;

fn resident_mib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

fn tasks() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

fn standstill() -> u32 {
    let seconds = env::var("IDEM_STANDSTILL_SECONDS");
    seconds.map_or(8, |seconds| seconds.parse().unwrap())
}

fn key(n: u32) -> RecordKey {
    RecordKey::new("standstill", n.to_string()).unwrap()
}

async fn stays_bounded<S: Store + 'static>(store: S, pause: impl Fn(), resume: impl Fn()) {
    // It counts the calls of the engine, and injects nothing.
    let store = FaultStore::new(store);
    let policy = Policy::default().lease(Duration::from_secs(3));
    let idem = Idempotency::builder(store.clone()).policy(policy);
    let idem = idem.build().unwrap();
    let fingerprint = Fingerprint::of("standstill/v1", b"any");
    let Claim::Acquired(running) = idem.claim(&key(0), &fingerprint).await.unwrap() else {
        panic!("the key is new");
    };
    pause();
    let ending = running.complete("ok").await;
    assert!(ending.is_ok(), "it goes on in the background: {ending:?}");
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut number, mut calls) = (0, store.calls());
    let mut seen = Vec::new();
    for _ in 0..standstill() {
        second.tick().await;
        let mut claims = JoinSet::new();
        for _ in 0..RATE {
            number += 1;
            let (idem, key) = (idem.clone(), key(number));
            claims.spawn(async move {
                let claim = idem.claim(&key, &fingerprint);
                if let Ok(Ok(claim)) = timeout(PATIENCE, claim).await {
                    panic!("nothing is answered: {claim:?}");
                }
            });
        }
        claims.join_all().await;
        let before = std::mem::replace(&mut calls, store.calls());
        seen.push((calls - before, tasks(), resident_mib()));
    }
    println!("calls, tasks and MiB, by the second: {seen:?}");
    let (_, tasks_first, mib_first) = seen[0];
    for (calls, tasks, mib) in seen {
        assert!(calls <= 5 * RATE as usize, "{calls} calls in a second");
        assert!(tasks <= tasks_first + 10, "{tasks} tasks");
        assert!(
            mib <= mib_first + MOST_MIB,
            "{mib} MiB, {mib_first} at first"
        );
    }
    resume();
    idem.wait_idle().await;
    match idem.claim(&key(0), &fingerprint).await.unwrap() {
        Claim::Replay(answer) => assert_eq!(&answer[..], b"ok"),
        other => panic!("its ending was stored: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_leaves_a_bounded_amount_of_work() {
    if let Some(server) = skip_or_fail(Redis::start().await) {
        let store = RedisStore::connect(&server.url()).await.unwrap();
        stays_bounded(store, || server.pause(), || server.resume()).await;
    }
    if let Some(server) = skip_or_fail(Postgres::start().await) {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        store.migrate().await.unwrap();
        stays_bounded(store, || server.pause(), || server.resume()).await;
    }
}
