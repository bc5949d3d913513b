//! G7: the process is killed (SIGKILL) at every point between the claim and the answer of the
//! transactional mode. Afterwards the user's table has one row for the key and the record says so, or
//! it has none and the key can be had again. Never two, and never an answer without its row.
//!
//! A client is this very program, started once more, on a runtime of one thread. Its points are the
//! moments at which that thread goes to sleep, with all that it had to say sent to the threads that
//! speak to SQLite, and those at which it wakes up, with an answer there and not yet read.
//!
//! `IDEM_CRASH_ROUNDS` repeats the matrix so many times; a single round by default.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use idem_core::{
    Fingerprint, Idempotency, IdempotencyKey, OnBusy, Policy, RecordKey, Scope, store::State,
};
use idem_sqlite::{Committed, SqliteStore, Transactional, TxError};
use rustix::process::{Signal, getpid, kill_process};
use sqlx::SqliteConnection;

const ORDER: &str = "IDEM_CRASH_ORDER";

/// Long enough for a client to do its work, and short enough to wait for when it died.
const LEASE: Duration = Duration::from_secs(1);

/// More points than a call has.
const MOST_POINTS: u64 = 1000;

/// The number of points differs from call to call, by how soon answers come: the matrix is done when so
/// many calls in a row had fewer.
const OVER: usize = 3;

/// What a client has to do, and where it dies.
#[derive(Debug, Clone)]
struct Order {
    once: bool,
    sleeping: bool,
    /// Counted from the first call on, from 1.
    number: u64,
    key: String,
    file: String,
}

impl Order {
    fn text(&self) -> String {
        let Self {
            once,
            sleeping,
            number,
            key,
            file,
        } = self;
        format!("{once} {sleeping} {number} {key} {file}")
    }

    fn parse(text: &str) -> Self {
        let words: Vec<_> = text.splitn(5, ' ').collect();
        Self {
            once: words[0] == "true",
            sleeping: words[1] == "true",
            number: words[2].parse().unwrap(),
            key: words[3].to_owned(),
            file: words[4].to_owned(),
        }
    }

    fn record_key(&self) -> RecordKey {
        let scope = Scope::new("crashes").unwrap();
        scope.key(&IdempotencyKey::new(&self.key).unwrap())
    }
}

/// The body of a client; does nothing in the process that runs the tests.
#[test]
fn dies_when_it_is_told_to() {
    let Ok(order) = env::var(ORDER) else {
        return;
    };
    let order = Order::parse(&order);
    let (armed, passed) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    let target = Arc::clone(&armed);
    let pass = move || {
        let target = target.load(Ordering::SeqCst);
        if target != 0 && passed.fetch_add(1, Ordering::SeqCst) + 1 == target {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    match order.sleeping {
        true => runtime.on_thread_park(pass),
        false => runtime.on_thread_unpark(pass),
    };
    runtime.enable_all().build().unwrap().block_on(async {
        let transactional = connect(Path::new(&order.file)).await;
        armed.store(order.number, Ordering::SeqCst);
        let paid = pay(&transactional, &order).await;
        armed.store(0, Ordering::SeqCst);
        paid.unwrap();
    });
}

async fn connect(file: &Path) -> Transactional {
    let url = format!("sqlite:{}", file.display());
    let store = SqliteStore::connect(&url).await.unwrap();
    let policy = Policy::default()
        .lease(LEASE)
        .on_busy(OnBusy::Wait(Duration::from_secs(60)));
    let idem = Idempotency::builder(store.clone()).policy(policy);
    store.transactional(&idem.build().unwrap())
}

/// The call, with its work: one row.
async fn pay(
    transactional: &Transactional,
    order: &Order,
) -> Result<Committed<String>, TxError<sqlx::Error>> {
    let (key, request) = (order.record_key(), Fingerprint::of("crashes", b"request"));
    let work = async |tx: &mut SqliteConnection| {
        let insert = sqlx::query("INSERT INTO payments VALUES (?)");
        insert.bind(&order.key).execute(tx).await?;
        Ok(IdempotencyKey::random().as_str().to_owned())
    };
    if order.once {
        return transactional.once_in_tx(&key, &request, work).await;
    }
    let work = async |tx: &mut SqliteConnection, _| work(tx).await;
    transactional.execute_in_tx(&key, &request, work).await
}

async fn rows(transactional: &Transactional, order: &Order) -> i64 {
    let query = sqlx::query_scalar("SELECT count(*) FROM payments WHERE key = ?");
    let rows = query.bind(&order.key).fetch_one(transactional.pool());
    rows.await.unwrap()
}

async fn is_completed(transactional: &Transactional, order: &Order) -> bool {
    let found = transactional.engine().lookup(&order.record_key()).await;
    let found = found.unwrap();
    found.is_some_and(|found| matches!(found.record.state, State::Completed { .. }))
}

/// Runs a client up to its end; whether that was the crash.
fn crash(order: &Order) -> bool {
    let mut client = Command::new(env::current_exe().unwrap())
        .args(["--exact", "dies_when_it_is_told_to"])
        .env(ORDER, order.text())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = client.wait().unwrap();
    let killed = status.signal() == Some(9);
    assert!(killed || status.success(), "{order:?}: {status}");
    killed
}

/// Holds the promise against what is there. Whether the row was there.
async fn check(transactional: &Transactional, order: &Order) -> bool {
    let there = rows(transactional, order).await;
    assert!(there <= 1, "{order:?}: {there} rows");
    let completed = is_completed(transactional, order).await;
    assert_eq!(there == 1, completed, "{order:?}: row and answer are apart");
    // Whatever happened, the next call has the key, and there is one row in the end.
    let again = pay(transactional, order).await;
    let again = again.unwrap_or_else(|error| panic!("{order:?}: {error}"));
    assert_eq!(again.replayed, there == 1, "{order:?}");
    assert_eq!(rows(transactional, order).await, 1, "{order:?}");
    there == 1
}

async fn crash_everywhere(once: bool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let transactional = connect(&file).await;
    let table = sqlx::query("CREATE TABLE payments (key TEXT NOT NULL)");
    table.execute(transactional.pool()).await.unwrap();
    let rounds = env::var("IDEM_CRASH_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let (mut crashes, mut committed) = (0, 0);
    for round in 0..2 * rounds {
        let (mut over, mut number) = (0, 1);
        while over < OVER {
            assert!(number < MOST_POINTS, "no end of points");
            let order = Order {
                once,
                sleeping: round % 2 == 0,
                number,
                key: IdempotencyKey::random().as_str().to_owned(),
                file: file.display().to_string(),
            };
            let crashed = crash(&order);
            let there = check(&transactional, &order).await;
            if crashed {
                over = 0;
                crashes += 1;
                committed += usize::from(there);
            } else {
                assert!(there, "{order:?}: it was told that it is there");
                over += 1;
            }
            number += 1;
        }
    }
    println!("once: {once}, {crashes} crashes, {committed} committed");
    assert!(crashes >= 10 * rounds, "{crashes}");
    assert!(committed < crashes, "some were rolled back");
}

#[tokio::test]
async fn g7_once_in_tx_of_a_process_that_is_killed() {
    crash_everywhere(true).await;
}

#[tokio::test]
async fn g7_execute_in_tx_of_a_process_that_is_killed() {
    crash_everywhere(false).await;
}
