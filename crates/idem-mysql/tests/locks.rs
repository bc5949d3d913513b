//! A row that somebody's transaction holds.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use idem_core::{
    Fingerprint, Idempotency, IdempotencyKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, StoreErrorKind, Version},
};
use idem_mysql::{InTx, MySqlConfig, MySqlStore};
use idem_testbed::{MariaDb, skip_or_fail};

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
