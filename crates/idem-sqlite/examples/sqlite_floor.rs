//! How fast the store is beside its floor, in one run: one row per statement, each a commit.
//!
//! `cargo run --release -p idem-sqlite --example sqlite_floor -- FOLDER [SECONDS]`, on the disk in question.
#![expect(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Store, Version},
};
use idem_sqlite::{Durability, SqliteConfig, SqliteStore};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

const TTL: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| ".".to_owned());
    let seconds = args.next().map_or(2, |seconds| seconds.parse().unwrap());
    let length = Duration::from_secs(seconds);
    for durability in [Durability::Full, Durability::Normal] {
        println!("{durability:?}      tasks   floor/s   store/s   ratio");
        for tasks in [1, 64, 256] {
            let folder = tempfile::tempdir_in(&folder).unwrap();
            fresh(folder.path(), durability, tasks, length).await;
            replays(folder.path(), durability, tasks, length).await;
        }
    }
}

/// A claim and its answer, each a write.
async fn fresh(folder: &Path, durability: Durability, tasks: usize, length: Duration) {
    let pool = floor(folder, durability, 1).await;
    let floor = rate(tasks, length, move || one_by_one(pool.clone())).await;
    let store = store(folder, durability).await;
    let ours = rate(tasks, length, move || claim_and_complete(store.clone())).await;
    println!(
        "fresh     {tasks:>7} {floor:>9.0} {ours:>9.0} {:>7.2}",
        ours / floor
    );
}

/// A claim of a key that has its answer.
async fn replays(folder: &Path, durability: Durability, tasks: usize, length: Duration) {
    let pool = floor(folder, durability, 8).await;
    let store = store(folder, durability).await;
    let mut keys = Vec::new();
    for n in 0..1000_i64 {
        let (key, record) = (key(), completed(&claim()));
        store.create(&key, &record, TTL).await.unwrap();
        let insert = sqlx::query("INSERT OR REPLACE INTO floor VALUES (?, ?, ?)");
        let insert = insert
            .bind(n.to_string())
            .bind(&[1_u8; 24][..])
            .bind(&[2_u8; 200][..]);
        insert.execute(&pool).await.unwrap();
        keys.push(key);
    }
    let turn = Arc::new(AtomicU64::new(0));
    let floor_turn = Arc::clone(&turn);
    let floor = rate(tasks, length, move || {
        let (pool, n) = (
            pool.clone(),
            floor_turn.fetch_add(1, Ordering::Relaxed) % 1000,
        );
        async move {
            let query = sqlx::query("SELECT version, body FROM floor WHERE key = ?");
            query.bind(n.to_string()).fetch_one(&pool).await.unwrap();
        }
    })
    .await;
    let keys = Arc::new(keys);
    let ours = rate(tasks, length, move || {
        let (store, keys) = (store.clone(), Arc::clone(&keys));
        let n = usize::try_from(turn.fetch_add(1, Ordering::Relaxed) % 1000).unwrap();
        async move {
            store.create(&keys[n], &claim(), TTL).await.unwrap();
        }
    })
    .await;
    println!(
        "replay    {tasks:>7} {floor:>9.0} {ours:>9.0} {:>7.2}",
        ours / floor
    );
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

async fn one_by_one(pool: SqlitePool) {
    let key = key();
    let insert = sqlx::query("INSERT INTO floor VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    let insert = insert
        .bind(key.as_str())
        .bind(&[1_u8; 24][..])
        .bind(&[2_u8; 60][..]);
    insert.execute(&pool).await.unwrap();
    let update =
        sqlx::query("UPDATE floor SET version = ?, body = ? WHERE key = ? AND version = ?");
    let update = update.bind(&[3_u8; 24][..]).bind(&[2_u8; 200][..]);
    let update = update.bind(key.as_str()).bind(&[1_u8; 24][..]);
    update.execute(&pool).await.unwrap();
}

async fn claim_and_complete(store: SqliteStore) {
    let (key, claim) = (key(), claim());
    store.create(&key, &claim, TTL).await.unwrap();
    let done = completed(&claim);
    store.update(&key, claim.version, &done, TTL).await.unwrap();
}

async fn store(folder: &Path, durability: Durability) -> SqliteStore {
    let config = SqliteConfig::default()
        .durability(durability)
        .send_timeout(Duration::from_secs(60))
        .busy_timeout(Duration::from_secs(60));
    let url = format!("sqlite:{}", folder.join("store.db").display());
    SqliteStore::connect_with(&url, config).await.unwrap()
}

async fn floor(folder: &Path, durability: Durability, connections: u32) -> SqlitePool {
    let synchronous = match durability {
        Durability::Full => SqliteSynchronous::Full,
        _ => SqliteSynchronous::Normal,
    };
    let options = SqliteConnectOptions::new()
        .filename(folder.join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect_with(options)
        .await
        .unwrap();
    let table = "CREATE TABLE IF NOT EXISTS floor \
        (key TEXT PRIMARY KEY, version BLOB, body BLOB) WITHOUT ROWID";
    sqlx::query(table).execute(&pool).await.unwrap();
    pool
}

fn key() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

fn claim() -> Record {
    let random = IdempotencyKey::random();
    let token = random.as_str().as_bytes()[..16].try_into().unwrap();
    Record {
        fingerprint: Fingerprint::of("floor", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(token),
            revision: 1,
        },
        created_at: Timestamp::from_millis(0),
        state: State::InFlight {
            lease: Duration::from_secs(30),
            checkpoint: None,
        },
    }
}

fn completed(claim: &Record) -> Record {
    let mut record = claim.clone();
    record.version.revision += 1;
    record.state = State::Completed {
        payload: vec![b'x'; 130].into(),
    };
    record
}
