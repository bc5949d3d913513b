//! Which commands a claim and its ending cost, on the server that `IDEM_REDIS_SERVER` names.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{CommandCounts, acquire, delete, fingerprint, key, replaces_natively, replayed};
use idem_core::{Claim, Idempotency, Refused, store::Store};
use idem_redis::RedisStore;
use idem_testbed::{Redis, skip_or_fail};

async fn engine(server: &Redis) -> Idempotency {
    over(RedisStore::connect(&server.url()).await.unwrap())
}

fn over(store: RedisStore) -> Idempotency {
    Idempotency::builder(store).build().unwrap()
}

/// Lets the server learn the scripts, and the store learn what the server has.
async fn warm_up(idem: &Idempotency) {
    for text in ["warm-up-1", "warm-up-2"] {
        let execution = acquire(idem, &key(text)).await;
        execution.complete("done").await.unwrap();
        let busy = acquire(idem, &key(&format!("{text}-busy"))).await;
        let _ = idem
            .claim(&key(&format!("{text}-busy")), &fingerprint())
            .await;
        busy.release().await.unwrap();
    }
}

fn ran(commands: &[(&str, u64)]) -> BTreeMap<String, u64> {
    commands
        .iter()
        .map(|(name, n)| ((*name).to_owned(), *n))
        .collect()
}

#[tokio::test]
async fn a_claim_and_an_ending_are_one_command_each() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let idem = engine(&server).await;
    warm_up(&idem).await;
    let mut counts = CommandCounts::of(&server);

    let execution = acquire(&idem, &key("k")).await;
    assert_eq!(counts.taken(), ran(&[("set", 1)]));

    execution.complete("answer").await.unwrap();
    let ending = match replaces_natively(server.binary()) {
        true => ran(&[("set", 1)]),
        false => ran(&[("evalsha", 1), ("getrange", 1), ("psetex", 1)]),
    };
    assert_eq!(counts.taken(), ending);

    assert_eq!(&replayed(&idem, &key("k")).await[..], b"answer");
    assert_eq!(counts.taken(), ran(&[("getex", 1)]));
}

#[tokio::test]
async fn a_delete_is_one_command() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let idem = over(store.clone());
    warm_up(&idem).await;
    delete(&store, &key("warm-up-1")).await;
    let execution = acquire(&idem, &key("k")).await;
    let version = store.get(&key("k")).await.unwrap().unwrap().record.version;
    let mut counts = CommandCounts::of(&server);
    store.delete(&key("k"), version).await.unwrap();
    let deleted = ran(&[("evalsha", 1), ("getrange", 1), ("del", 1)]);
    assert_eq!(counts.taken(), deleted);
    execution.complete("late").await.unwrap_err();
}

/// The age is asked for only when what was found is in flight.
#[tokio::test]
async fn a_busy_key_costs_a_second_command() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let idem = engine(&server).await;
    warm_up(&idem).await;
    let _execution = acquire(&idem, &key("k")).await;
    let mut counts = CommandCounts::of(&server);
    let claim = idem.claim(&key("k"), &fingerprint()).await.unwrap();
    assert!(matches!(claim, Claim::Refused(Refused::InFlight { .. })));
    assert_eq!(
        counts.taken(),
        ran(&[("getex", 1), ("getrange", 1), ("pttl", 1), ("set", 1)])
    );
}

/// A restart or a `SCRIPT FLUSH` makes the server forget the scripts.
#[tokio::test]
async fn forgotten_scripts_are_taught_again() {
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let idem = over(store.clone());
    for text in ["a", "b"] {
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
        let execution = acquire(&idem, &key(text)).await;
        let claim = idem.claim(&key(text), &fingerprint()).await.unwrap();
        assert!(matches!(claim, Claim::Refused(Refused::InFlight { .. })));
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
        execution.checkpoint("half-way").await.unwrap();
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
        execution.complete("answer").await.unwrap();
        assert_eq!(&replayed(&idem, &key(text)).await[..], b"answer");
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
        delete(&store, &key(text)).await;
    }
}

/// A record takes the memory of a bare key whose value is 62 bytes longer than the payload and was
/// written twice, as a record is: with jemalloc not a byte more, while libc's allocator hands out up
/// to 16 bytes too many, for a key as for a value, when the rest would be too little for anybody.
///
/// What that is beyond a bare key with the payload alone is for the server to say: its allocator
/// rounds both up, and Valkey 9 keeps a short value with its key if it was written so at first.
#[tokio::test]
async fn a_record_takes_the_memory_of_a_bare_key_with_62_bytes_more() {
    const RECORD: usize = 62;
    const CLAIM: usize = 66;
    let Some(server) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let idem = engine(&server).await;
    let memory = server.command(&["INFO", "memory"]).unwrap();
    let chance = match memory.text().unwrap().contains("mem_allocator:jemalloc") {
        true => 0,
        false => 2 * 16,
    };
    let usage = |name: &str| -> usize {
        let usage = server.command(&["MEMORY", "USAGE", name]).unwrap();
        usage.text().unwrap().parse().unwrap()
    };
    for payload in (0..=1000).step_by(8).chain([53, 4000, 60_000]) {
        let key = key(&format!("8e03978e-40d5-43dd-bc93-{payload:012x}"));
        let execution = acquire(&idem, &key).await;
        execution.complete(vec![b'x'; payload]).await.unwrap();
        let name = format!("idem:{}", key.as_str());
        let bare = |name: &str, lengths: &[usize]| {
            for &len in lengths {
                let set = ["SET", name, &"x".repeat(len), "PX", "86400000"];
                server.command(&set).unwrap();
            }
            usage(name) - name.len() - payload
        };
        let (record, same, alone) = (
            usage(&name) - name.len() - payload,
            bare(&name.replace("idem", "same"), &[CLAIM, payload + RECORD]),
            bare(&name.replace("idem", "bare"), &[payload]),
        );
        println!("memory {payload} {record} {same} {alone}");
        assert!(
            record <= same + chance,
            "{payload} bytes of payload take {record} more, and {same} by hand"
        );
    }
}
