//! How fast the store is beside its floor, in one run: one row per statement, each a commit.
//!
//! `cargo run --release -p idem-mysql --example mysql_floor -- URL [SECONDS]`, or without a URL over a MariaDB
//! that is started for it and flushes every commit.
#![expect(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use idem_core::{
    Fingerprint, Idempotency, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Store, Version},
};
use idem_mysql::{MySqlConfig, MySqlStore, Transactional};
use idem_testbed::{Durability, MariaDb};
use sqlx::{MySqlConnection, MySqlPool, mysql::MySqlPoolOptions};

const TTL: Duration = Duration::from_secs(3600);

/// How many connections the floor has.
const POOL: u32 = 16;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (url, _server) = match args.next().filter(|url| !url.is_empty()) {
        Some(url) => (url, None),
        None => {
            let server = MariaDb::builder().durability(Durability::Flushed);
            let server = server.start().await.unwrap();
            server.sql("CREATE DATABASE floor").unwrap();
            (server.url_of("floor"), Some(server))
        }
    };
    let seconds = args.next().map_or(2, |seconds| seconds.parse().unwrap());
    let length = Duration::from_secs(seconds);
    let pool = MySqlPoolOptions::new().max_connections(POOL);
    let pool = pool.connect(&url).await.unwrap();
    let table = "CREATE TABLE IF NOT EXISTS floor (k VARBINARY(64) PRIMARY KEY, \
        version VARBINARY(32) NOT NULL, body LONGBLOB NOT NULL) ENGINE = InnoDB";
    sqlx::raw_sql(table).execute(&pool).await.unwrap();
    let config = MySqlConfig::default().send_timeout(Duration::from_secs(60));
    let store = MySqlStore::connect_with(&url, config.sweep_every(None));
    let store = store.await.unwrap();
    store.migrate().await.unwrap();
    let idem = Idempotency::builder(MySqlStore::new(pool.clone()));
    let idem = idem.build().unwrap();
    let once = MySqlStore::new(pool.clone()).transactional(&idem);

    println!("             tasks   floor/s   store/s   ratio");
    for tasks in [1, 64, 256] {
        let (floor, ours) = (pool.clone(), store.clone());
        let floor = rate(tasks, length, move || one_by_one(floor.clone())).await;
        let ours = rate(tasks, length, move || claim_and_complete(ours.clone())).await;
        tell("fresh", tasks, floor, ours);
        replays(&pool, &store, tasks, length).await;
    }
    for tasks in [1, 16] {
        let (floor, ours) = (pool.clone(), once.clone());
        let floor = rate(tasks, length, move || by_hand(floor.clone())).await;
        let ours = rate(tasks, length, move || in_tx(ours.clone())).await;
        tell("once_in_tx", tasks, floor, ours);
    }
}

fn tell(what: &str, tasks: usize, floor: f64, ours: f64) {
    let ratio = ours / floor;
    println!("{what:<11}{tasks:>7} {floor:>9.0} {ours:>9.0} {ratio:>7.2}");
}

/// A claim of a key that has its answer, beside a select of one row.
async fn replays(pool: &MySqlPool, store: &MySqlStore, tasks: usize, length: Duration) {
    let mut keys = Vec::new();
    for _ in 0..500 {
        let (key, record) = (key(), completed(&claim()));
        store.create(&key, &record, TTL).await.unwrap();
        insert(pool, &key, 200).await;
        keys.push(key);
    }
    let keys = Arc::new(keys);
    let turn = Arc::new(AtomicU64::new(0));
    let next = move || {
        let n = turn.fetch_add(1, Ordering::Relaxed);
        usize::try_from(n).unwrap() % 500
    };
    let (pool, some, n) = (pool.clone(), Arc::clone(&keys), next.clone());
    let floor = rate(tasks, length, move || {
        let (pool, key) = (pool.clone(), some[n()].clone());
        async move {
            let query = sqlx::query("SELECT version, body FROM floor WHERE k = ?");
            let query = query.bind(key.as_str().as_bytes());
            query.fetch_one(&pool).await.unwrap();
        }
    })
    .await;
    let store = store.clone();
    let ours = rate(tasks, length, move || {
        let (store, key) = (store.clone(), keys[next()].clone());
        async move {
            store.create(&key, &claim(), TTL).await.unwrap();
        }
    })
    .await;
    tell("replay", tasks, floor, ours);
}

async fn rate<F>(
    tasks: usize,
    length: Duration,
    call: impl Fn() -> F + Clone + Send + 'static,
) -> f64
where
    F: Future<Output = ()> + Send,
{
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let all = (0..tasks).map(|_| {
        let (done, call) = (Arc::clone(&done), call.clone());
        tokio::spawn(async move {
            while started.elapsed() < length {
                call().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let done = done.load(Ordering::Relaxed) as f64;
    done / started.elapsed().as_secs_f64()
}

async fn insert(pool: &MySqlPool, key: &RecordKey, body: usize) {
    let insert = sqlx::query("INSERT INTO floor VALUES (?, ?, ?)");
    let insert = insert
        .bind(key.as_str().as_bytes())
        .bind(&[1_u8; 24][..])
        .bind(vec![2_u8; body]);
    insert.execute(pool).await.unwrap();
}

async fn one_by_one(pool: MySqlPool) {
    let key = key();
    insert(&pool, &key, 60).await;
    let update = sqlx::query("UPDATE floor SET version = ?, body = ? WHERE k = ? AND version = ?");
    let update = update.bind(&[3_u8; 24][..]).bind(vec![2_u8; 200]);
    let update = update.bind(key.as_str().as_bytes()).bind(&[1_u8; 24][..]);
    update.execute(&pool).await.unwrap();
}

async fn claim_and_complete(store: MySqlStore) {
    let (key, claim) = (key(), claim());
    store.create(&key, &claim, TTL).await.unwrap();
    let done = completed(&claim);
    store.update(&key, claim.version, &done, TTL).await.unwrap();
}

/// What a careful application does without a library: a row that must be new, its own, and the answer.
async fn by_hand(pool: MySqlPool) {
    let key = key();
    let mut tx = pool.begin().await.unwrap();
    let bytes = key.as_str().as_bytes();
    let insert = sqlx::query("INSERT INTO floor VALUES (?, '', '')").bind(bytes);
    insert.execute(&mut *tx).await.unwrap();
    work(&mut tx).await.unwrap();
    let update = sqlx::query("UPDATE floor SET body = ? WHERE k = ?");
    let update = update.bind(vec![2_u8; 20]).bind(bytes);
    update.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn in_tx(transactional: Transactional) {
    let request = Fingerprint::of("floor", b"request");
    let done = transactional.once_in_tx(&key(), &request, work).await;
    done.unwrap();
}

async fn work(tx: &mut MySqlConnection) -> Result<u64, sqlx::Error> {
    let insert = sqlx::query("INSERT INTO floor VALUES (?, '', '')");
    let key = key();
    let done = insert.bind(key.as_str().as_bytes()).execute(tx).await?;
    Ok(done.rows_affected())
}

fn key() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

fn claim() -> Record {
    let mut token = [0; 16];
    token.copy_from_slice(&IdempotencyKey::random().as_str().as_bytes()[..16]);
    Record {
        fingerprint: Fingerprint::of("floor", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(token),
            revision: 1,
        },
        created_at: Timestamp::now(),
        state: State::InFlight {
            lease: Duration::from_secs(30),
            checkpoint: None,
        },
    }
}

fn completed(claim: &Record) -> Record {
    Record {
        version: Version {
            revision: 2,
            ..claim.version
        },
        state: State::Completed {
            payload: vec![2; 200].into(),
        },
        ..claim.clone()
    }
}
