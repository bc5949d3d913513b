//! G1: many tasks of two processes claim the same keys, half of which have expired, while both sweep.
//! Each key has one winner, and nobody is refused because of a deadlock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, Sweep, Version},
};
use idem_mysql::{MySqlConfig, MySqlStore};
use idem_testbed::{MariaDb, skip_or_fail};

const TASKS: usize = 64;
const KEYS: usize = 500;
const LONG: Duration = Duration::from_secs(3600);

fn claim(task: usize) -> Record {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&task.to_le_bytes());
    Record {
        fingerprint: Fingerprint::of("tests", b"claims"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(token),
            revision: 1,
        },
        created_at: Timestamp::from_millis(0),
        state: State::InFlight {
            lease: LONG,
            checkpoint: None,
        },
    }
}

async fn connect(server: &MariaDb) -> MySqlStore {
    let config = MySqlConfig::default()
        .send_timeout(Duration::from_secs(60))
        .sweep_every(None);
    let store = MySqlStore::connect_with(&server.url_of("idem"), config).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn one_winner_each(level: &'static str) {
    let builder = MariaDb::builder().setting("transaction-isolation", level);
    let Some(server) = skip_or_fail(builder.start().await) else {
        return;
    };
    server.sql("CREATE DATABASE idem").unwrap();
    let stores = [connect(&server).await, connect(&server).await];
    let scope = Scope::new("claims").unwrap();
    let keys: Vec<RecordKey> = (0..KEYS)
        .map(|_| scope.key(&IdempotencyKey::random()))
        .collect();
    let keys = Arc::new(keys);
    for key in keys.iter().step_by(2) {
        let ttl = Duration::from_millis(1);
        let created = stores[0].create(key, &claim(TASKS), ttl).await;
        assert_eq!(created.unwrap(), Created::New);
    }

    let over = Arc::new(AtomicBool::new(false));
    let sweepers = stores.clone().map(|store| {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                store.sweep(usize::MAX).await.unwrap();
            }
        })
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, keys) = (stores[task % 2].clone(), Arc::clone(&keys));
            tokio::spawn(async move {
                let mut won = Vec::new();
                for key in keys.iter() {
                    let created = store.create(key, &claim(task), LONG).await;
                    if created.unwrap() == Created::New {
                        won.push(key.clone());
                    }
                }
                won
            })
        })
        .collect();
    let mut winners: HashMap<RecordKey, usize> = HashMap::new();
    for task in tasks {
        for key in task.await.unwrap() {
            *winners.entry(key).or_default() += 1;
        }
    }
    over.store(true, Ordering::Relaxed);
    for sweeper in sweepers {
        sweeper.await.unwrap();
    }
    assert_eq!(winners.len(), KEYS);
    assert!(winners.values().all(|winners| *winners == 1), "{winners:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_one_winner_each_at_read_committed() {
    one_winner_each("READ-COMMITTED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_one_winner_each_at_repeatable_read() {
    one_winner_each("REPEATABLE-READ").await;
}
