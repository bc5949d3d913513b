//! Steady churn, and whether the table grows: keys are claimed, completed, expire and are swept,
//! while autovacuum does its part.
//!
//! `cargo run --release -p idem-postgres --example churn -- 120`
//!
//! An hour of keys that are kept for two minutes is thirty turns of the table. Here a key is kept
//! for four seconds, so that thirty turns are two minutes, and autovacuum looks thirty times as
//! often as it does by default. Needs PostgreSQL's programs; the server is a temporary one.
#![expect(clippy::unwrap_used, reason = "an example stops at the first error")]

use std::time::{Duration, Instant};

use idem_core::{
    ClaimToken, Created, Fingerprint, IdempotencyKey, Record, Scope, State, Store, Timestamp,
    Updated, Version,
};
use idem_postgres::PostgresStore;
use idem_testbed::{Durability, Postgres};
use tokio::task::JoinSet;

const KEPT: Duration = Duration::from_secs(4);
const WRITERS: usize = 32;
const BETWEEN_REPORTS: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1);
    let seconds = seconds.map_or(120, |seconds| seconds.parse().unwrap());
    let server = Postgres::builder()
        .durability(Durability::Flushed)
        .setting("autovacuum_naptime", "2s")
        .start()
        .await
        .unwrap();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    store.migrate().await.unwrap();
    let sweeper = store.sweep_in_background(Duration::from_secs(1));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            loop {
                claim_and_complete(&store).await;
            }
        });
    }
    let started = Instant::now();
    println!("seconds  rows written  rows there  table MB  index MB  vacuums");
    while started.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(BETWEEN_REPORTS).await;
        let row = figures(&server);
        println!("{:>7}  {row}", started.elapsed().as_secs());
    }
    writers.shutdown().await;
    drop(sweeper);
}

async fn claim_and_complete(store: &PostgresStore) {
    let key = Scope::global().key(&IdempotencyKey::random());
    let claim = Record {
        fingerprint: Fingerprint::of("churn", b"request"),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(*b"a claim of churn"),
            revision: 1,
        },
        created_at: Timestamp::from_millis(1_700_000_000_000),
        state: State::InFlight {
            lease: KEPT,
            checkpoint: None,
        },
    };
    let created = store.create(&key, &claim, KEPT).await.unwrap();
    assert_eq!(created, Created::New);
    let done = Record {
        version: Version {
            revision: 2,
            ..claim.version
        },
        state: State::Completed {
            payload: br#"{"charge":4711081500017,"amount":500}"#.to_vec().into(),
        },
        ..claim.clone()
    };
    let updated = store
        .update(&key, claim.version, &done, KEPT)
        .await
        .unwrap();
    assert_eq!(updated, Updated::Done);
}

fn figures(server: &Postgres) -> String {
    let sql = "SELECT format('%12s  %10s  %8s  %8s  %7s', n_tup_ins, n_tup_ins - n_tup_del, \
         pg_table_size(relid) / 1000000, pg_indexes_size(relid) / 1000000, autovacuum_count) \
         FROM pg_stat_user_tables WHERE relname = 'records'";
    let rows = server.sql(sql).unwrap();
    rows[0][0].clone().unwrap()
}
