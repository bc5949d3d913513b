//! A pool that is used up: by transactions, by whoever else uses it, and by duplicates.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Mutex, time::Duration};

use idem_core::{Failure, Fingerprint, Idempotency, IdempotencyKey, Policy, RecordKey, Scope};
use idem_postgres::{PostgresConfig, PostgresStore, Transactional};
use idem_testbed::{Postgres, skip_or_fail};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::{sleep, timeout};

const LEASE: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 4;

/// Longer than any of these takes.
const LONG: Duration = Duration::from_secs(60);

struct World {
    _server: Postgres,
    pool: PgPool,
    store: PostgresStore,
    idem: Idempotency,
}

impl World {
    async fn open() -> Option<Self> {
        let server = skip_or_fail(Postgres::start().await)?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.connect(&server.url()).await.unwrap();
        let config = PostgresConfig::default().lock_timeout(LONG).patience(LONG);
        let store = PostgresStore::with_config(pool.clone(), config);
        store.migrate().await.unwrap();
        let policy = Policy::default().lease(LEASE);
        let idem = Idempotency::builder(store.clone()).policy(policy);
        Some(Self {
            _server: server,
            pool,
            idem: idem.build().unwrap(),
            store,
        })
    }

    fn transactional(&self) -> Transactional {
        self.store.transactional(&self.idem)
    }
}

fn fresh() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

fn request() -> Fingerprint {
    Fingerprint::of("tests", b"request")
}

/// G1: a healthy holder keeps its key, whatever its own transactions do to the pool.
#[tokio::test]
async fn g1_transactions_that_use_up_the_pool_keep_their_keys() {
    let Some(world) = World::open().await else {
        return;
    };
    let holders: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let transactional = world.transactional();
            tokio::spawn(async move {
                let work = async |_: &mut sqlx::PgConnection, _| {
                    sleep(3 * LEASE).await;
                    Ok::<_, sqlx::Error>(())
                };
                let (key, request) = (fresh(), request());
                let done = transactional.execute_in_tx(&key, &request, work);
                done.await.map(|done| done.replayed)
            })
        })
        .collect();
    for holder in holders {
        assert!(!holder.await.unwrap().unwrap(), "it was the first");
    }
}

/// G1: the same for a handler, while others hold every connection of the application's pool.
#[tokio::test]
async fn g1_a_pool_that_others_use_up_takes_no_key_from_its_holder() {
    let Some(world) = World::open().await else {
        return;
    };
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(world.pool.acquire().await.unwrap());
    }
    let work = async |_| {
        sleep(2 * LEASE).await;
        Ok::<_, Failure<String>>("done".to_owned())
    };
    let done = world.idem.execute(&fresh(), &request(), work).await;
    assert!(!done.unwrap().replayed);
    drop(held);
}

/// Duplicates wait for the transaction that holds their key, as long as they may; meanwhile other
/// keys find connections.
#[tokio::test]
async fn duplicates_of_one_key_leave_the_pool_to_others() {
    let Some(world) = World::open().await else {
        return;
    };
    let once = world.transactional();
    let (key, request) = (fresh(), request());
    let duplicates = Mutex::new(Vec::new());
    let held = once.once_in_tx(&key, &request, async |_| {
        duplicates.lock().unwrap().extend((0..40).map(|_| {
            let (once, key) = (once.clone(), key.clone());
            tokio::spawn(async move {
                let work = async |_: &mut sqlx::PgConnection| Ok::<_, sqlx::Error>(0);
                once.once_in_tx(&key, &request, work).await
            })
        }));
        let mut done = 0;
        for _ in 0..100 {
            let work = async |_: &mut sqlx::PgConnection| Ok::<_, sqlx::Error>(1);
            let other = fresh();
            let one = timeout(LONG, once.once_in_tx(&other, &request, work));
            done += one.await.expect("it finds a connection").unwrap().value;
        }
        Ok::<_, sqlx::Error>(done)
    });
    assert_eq!(held.await.unwrap().value, 100);
    // All of them get the one answer (G2).
    for duplicate in duplicates.into_inner().unwrap() {
        let replayed = duplicate.await.unwrap().unwrap();
        assert_eq!((replayed.value, replayed.replayed), (100, true));
    }
}
