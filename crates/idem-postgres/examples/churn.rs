//! Steady churn at a fixed rate, and whether the table grows: keys are claimed, completed, expire
//! and are swept, while autovacuum does its part.
//!
//! `cargo run --release -p idem-postgres --example churn -- [SECONDS] [KEYS PER SECOND]`
//!
//! An hour of keys that are kept for two minutes is thirty turns of the table. Here a key is kept
//! for four seconds, so that thirty turns are two minutes, and autovacuum looks thirty times as
//! often as it does by default. The verdict compares the last third of the run with the second; in
//! the first the table fills up. Needs PostgreSQL's programs; the server is a temporary one.
#![expect(clippy::unwrap_used, reason = "an example stops at the first error")]

use std::{process::ExitCode, str::FromStr, time::Duration};

use idem_core::{
    Fingerprint, IdempotencyKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, Updated, Version},
};
use idem_postgres::PostgresStore;
use idem_testbed::{Durability, Postgres};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

const KEPT: Duration = Duration::from_secs(4);
const BETWEEN_REPORTS: Duration = Duration::from_secs(5);

/// How often keys are sent out.
const TICK: Duration = Duration::from_millis(10);

/// What is sent later than this is late, and the rate was not kept.
const LATE: Duration = Duration::from_secs(1);

/// How much larger than in the second third of the run the table may ever be in the last: as much
/// as a single turn of thirty would add if its room were not used again. Ten turns are a third.
const MOST_GROWTH: f64 = 1.05;

/// How often autovacuum has to have come in each third, or its part was not seen.
const FEWEST_VACUUMS: u64 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = next_or(&mut arguments, 120);
    let rate = next_or(&mut arguments, 3000);
    let server = Postgres::builder()
        .durability(Durability::Flushed)
        .setting("autovacuum_naptime", "2s")
        .start()
        .await
        .unwrap();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    store.migrate().await.unwrap();
    let sweeper = store.sweep_in_background(Duration::from_secs(1));
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let churning = tokio::spawn(churn(store, rate, end));
    println!("seconds      keys  rows there    live  table MB  index MB  vacuums");
    let mut seen = Vec::new();
    while Instant::now() < end {
        sleep_until(Instant::now() + BETWEEN_REPORTS).await;
        let figures = Figures::of(&server);
        println!("{:>7}  {figures}", started.elapsed().as_secs());
        seen.push(figures);
    }
    let late = churning.await.unwrap();
    drop(sweeper);
    println!("{late} keys of {} were sent late", rate * seconds);
    verdict(&seen)
}

fn next_or<T: FromStr>(arguments: &mut impl Iterator<Item = String>, usual: T) -> T {
    arguments.next().map_or(usual, |argument| {
        argument.parse().ok().expect("the arguments are numbers")
    })
}

/// Claims and completes so many keys a second, and says how many were sent late.
async fn churn(store: PostgresStore, rate: u64, end: Instant) -> u64 {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut late) = (0, 0);
    let started = Instant::now();
    let mut under_way = JoinSet::new();
    loop {
        let due = ticks.tick().await;
        if due >= end {
            break;
        }
        let so_far = (due - started).as_secs_f64() * rate as f64;
        let now = (so_far as u64).saturating_sub(sent);
        sent += now;
        if due.elapsed() > LATE {
            late += now;
        }
        for _ in 0..now {
            let store = store.clone();
            under_way.spawn(async move { claim_and_complete(&store).await });
        }
        while let Some(done) = under_way.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = under_way.join_next().await {
        done.unwrap();
    }
    late
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

/// What the server says of the table.
struct Figures {
    inserted: u64,
    there: u64,
    live: u64,
    table: u64,
    index: u64,
    vacuums: u64,
}

impl Figures {
    fn of(server: &Postgres) -> Self {
        let sql = "SELECT n_tup_ins, n_tup_ins - n_tup_del, \
             (SELECT count(*) FROM idem.records WHERE expires_at > clock_timestamp()), \
             pg_table_size(relid), pg_indexes_size(relid), autovacuum_count \
             FROM pg_stat_user_tables WHERE relname = 'records'";
        let rows = server.sql(sql).unwrap();
        let figure = |column: usize| rows[0][column].as_ref().unwrap().parse().unwrap();
        Self {
            inserted: figure(0),
            there: figure(1),
            live: figure(2),
            table: figure(3),
            index: figure(4),
            vacuums: figure(5),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            inserted,
            there,
            live,
            ..
        } = self;
        let [table, index] = [self.table, self.index].map(|bytes| bytes as f64 / 1e6);
        let vacuums = self.vacuums;
        write!(
            f,
            "{inserted:>8}  {there:>10}  {live:>6}  {table:>8.1}  {index:>8.1}  {vacuums:>7}"
        )
    }
}

/// Whether the table was larger in the last third than it had been in the second.
fn verdict(seen: &[Figures]) -> ExitCode {
    let third = seen.len() / 3;
    let (second, last) = seen[third..].split_at(third);
    let largest = |figures: &[Figures]| {
        let sizes = figures.iter().map(|figures| figures.table + figures.index);
        sizes.max().unwrap_or(0) as f64
    };
    let vacuums = |figures: &[Figures]| match figures {
        [first, .., last] => last.vacuums - first.vacuums,
        _ => 0,
    };
    let growth = largest(last) / largest(second);
    let vacuumed = [second, last].map(vacuums);
    println!(
        "at its largest, table and index had {growth:.3} times the size in the last third of the \
         run that they had in the second; autovacuum came {} and {} times",
        vacuumed[0], vacuumed[1]
    );
    let steady = growth <= MOST_GROWTH && vacuumed.iter().all(|times| *times >= FEWEST_VACUUMS);
    println!("{}", if steady { "steady" } else { "NOT steady" });
    ExitCode::from(u8::from(!steady))
}
