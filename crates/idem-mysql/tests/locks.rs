//! A row that somebody's transaction holds.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use idem_core::{
    Fingerprint, Idempotency, IdempotencyKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, StoreErrorKind, Updated, Version},
};
use idem_mysql::{InTx, MySqlConfig, MySqlStore};
use idem_testbed::{Fault, FaultyProxy, MariaDb, skip_or_fail};

const LONG: Duration = Duration::from_secs(3600);

fn claim() -> Record {
    Record {
        fingerprint: Fingerprint::of("tests", b"locks"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: 1,
        },
        created_at: Timestamp::from_millis(0),
        state: State::InFlight {
            lease: LONG,
            checkpoint: None,
        },
    }
}

/// Calls that travel with one for a held key are answered before it, and it is refused alone.
#[tokio::test]
async fn s9_a_held_row_refuses_its_own_call_alone() {
    let Some(server) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    server.sql("CREATE DATABASE idem").unwrap();
    let config = MySqlConfig::default()
        .lanes(NonZeroUsize::MIN)
        .send_timeout(Duration::from_secs(60))
        .sweep_every(None);
    let store = MySqlStore::connect_with(&server.url_of("idem"), config).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    let idem = Idempotency::new(store.clone());
    let scope = Scope::new("locks").unwrap();
    let held = scope.key(&IdempotencyKey::random());
    let mut tx = store.pool().begin().await.unwrap();
    let transactional = store.transactional(&idem);
    let request = Fingerprint::of("tests", b"held");
    let once = transactional.claim_in_tx(&mut tx, &held, &request).await;
    assert!(matches!(once, Ok(InTx::Acquired(_))), "{once:?}");

    let mut keys: Vec<_> = (0..15)
        .map(|_| scope.key(&IdempotencyKey::random()))
        .collect();
    keys.push(held.clone());
    let calls: FuturesUnordered<_> = keys
        .iter()
        .map(|key| async {
            let created = store.create(key, &claim(), LONG).await;
            (key.clone(), created)
        })
        .collect();
    for (key, created) in calls.collect::<Vec<_>>().await {
        match key == held {
            true => assert_eq!(created.unwrap_err().kind(), StoreErrorKind::Unavailable),
            false => assert_eq!(created.unwrap(), Created::New),
        }
    }
    tx.rollback().await.unwrap();
    let created = store.create(&held, &claim(), LONG).await;
    assert_eq!(created.unwrap(), Created::New);
}

fn written(claim: u8, revision: u64) -> Record {
    let token = ClaimToken::from_bytes([claim; 16]);
    let state = State::Retryable { checkpoint: None };
    let version = Version { token, revision };
    Record {
        version,
        state,
        ..claim_of(token)
    }
}

fn claim_of(token: ClaimToken) -> Record {
    let revision = 1;
    Record {
        version: Version { token, revision },
        ..claim()
    }
}

/// Calls that travel together are read back where not all of them were applied. One that was applied,
/// and replaced before it was read back, is not told that it was refused.
#[tokio::test]
async fn s9_a_write_that_was_replaced_before_it_was_read_back_was_not_refused() {
    let Some(server) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    server.sql("CREATE DATABASE idem").unwrap();
    let config = || {
        MySqlConfig::default()
            .lanes(NonZeroUsize::MIN)
            .send_timeout(Duration::from_secs(60))
            .sweep_every(None)
    };
    let direct = MySqlStore::connect_with(&server.url_of("idem"), config()).await;
    let direct = direct.unwrap();
    direct.migrate().await.unwrap();
    let proxy = FaultyProxy::start(server.address()).unwrap();
    let url = proxy.url(&server.url_of("idem"));
    let store = MySqlStore::connect_with(&url, config()).await.unwrap();

    let scope = Scope::new("read-back").unwrap();
    let key = |text| scope.key(&IdempotencyKey::new(text).unwrap());
    let (applied, refused) = (key("applied"), key("refused"));
    for key in [&applied, &refused] {
        let created = direct.create(key, &claim(), LONG).await;
        assert_eq!(created.unwrap(), Created::New);
    }
    // The one lane is busy until both calls wait for it, so that they travel together.
    let busy = proxy.arm(Fault::HangRequest.once().containing(b"idem_records"));
    let reading = tokio::spawn({
        let (store, key) = (store.clone(), key("busy"));
        async move { store.get(&key).await }
    });
    while proxy.counts().hung_requests < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let calls = [
        (&applied, claim().version),
        (&refused, written(9, 1).version),
    ]
    .map(|(key, expected)| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move { store.update(&key, expected, &written(8, 2), LONG).await })
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let read_back = proxy.arm(Fault::HangRequest.once().containing(b"LOCK IN SHARE MODE"));
    busy.release();
    reading.await.unwrap().unwrap();
    while proxy.counts().hung_requests < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = written(8, 2).version;
    let replaced = direct.update(&applied, now, &written(7, 3), LONG).await;
    assert_eq!(replaced.unwrap(), Updated::Done);
    read_back.release();
    let [applied, refused] = calls;
    let told = applied.await.unwrap();
    assert!(
        matches!(&told, Err(error) if error.kind() == StoreErrorKind::Unknown),
        "it was applied: {told:?}"
    );
    // As little can be told of the one that was refused.
    let told = refused.await.unwrap();
    assert!(
        matches!(&told, Err(error) if error.kind() == StoreErrorKind::Unknown),
        "{told:?}"
    );
}

/// G1: two large answers that are long on their way hold up no other key: a renewal that waited behind
/// them would cost its holder the key.
#[tokio::test]
async fn g1_large_answers_on_their_way_hold_up_no_other_key() {
    let Some(server) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    server.sql("CREATE DATABASE idem").unwrap();
    let proxy = FaultyProxy::start(server.address()).unwrap();
    let config = MySqlConfig::default().send_timeout(LONG).sweep_every(None);
    let store = MySqlStore::connect_with(&proxy.url(&server.url_of("idem")), config).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    let scope = Scope::new("large").unwrap();
    let key = |text| scope.key(&IdempotencyKey::new(text).unwrap());
    for key in [key("large 1"), key("large 2"), key("small")] {
        let created = store.create(&key, &claim(), LONG).await;
        assert_eq!(created.unwrap(), Created::New);
    }
    let on_its_way = proxy.arm(Fault::HangRequest.always().larger_than(100_000));
    let done = Record {
        state: State::Completed {
            payload: vec![b'x'; 1 << 20].into(),
        },
        ..written(7, 2)
    };
    let mut endings = Vec::new();
    for name in ["large 1", "large 2"] {
        let (store, key, done) = (store.clone(), key(name), done.clone());
        let ending = async move { store.update(&key, claim().version, &done, LONG).await };
        endings.push(tokio::spawn(ending));
        while proxy.counts().hung_requests == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The second is on its way too, or waits for the first.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    let (key, next) = (key("small"), written(7, 2));
    let small = store.update(&key, claim().version, &next, LONG);
    assert_eq!(small.await.unwrap(), Updated::Done);
    on_its_way.release();
    for ending in endings {
        assert_eq!(ending.await.unwrap().unwrap(), Updated::Done);
    }
}
