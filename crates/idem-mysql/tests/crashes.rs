//! G7: the client or the server is killed (SIGKILL) at every point between the claim and the answer of
//! the transactional mode. Afterwards the user's table has one row for the key and the record says so,
//! or it has none and the key can be had again. Never two, and never an answer without its row.
//!
//! A client is this very program, started once more, on a runtime of one thread. Its points are the
//! moments at which that thread goes to sleep, with all that it had to say sent, and those at which it
//! wakes up, with an answer there and not yet read.
//!
//! `IDEM_CRASH_ROUNDS` repeats the matrix so many times; a single round by default.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    os::unix::process::ExitStatusExt as _,
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
use idem_mysql::{Committed, MySqlConfig, MySqlStore, Transactional, TxError};
use idem_testbed::{MariaDb, skip_or_fail};
use rustix::process::{Pid, Signal, getpid, kill_process};
use sqlx::MySqlConnection;

const ORDER: &str = "IDEM_CRASH_ORDER";

/// Long enough for a client to do its work, and short enough to wait for when it died.
const LEASE: Duration = Duration::from_secs(1);

/// More points than a call has.
const MOST_POINTS: u64 = 1000;

/// The number of points differs from call to call, by how soon answers come: the matrix is done when so
/// many calls in a row had fewer.
const OVER: usize = 3;

/// What a client has to do, and where who dies.
#[derive(Debug, Clone)]
struct Order {
    once: bool,
    sleeping: bool,
    /// Counted from the first call on, from 1.
    number: u64,
    /// The server's process, if that one is to die.
    server: i32,
    key: String,
    url: String,
}

impl Order {
    fn text(&self) -> String {
        let Self {
            once,
            sleeping,
            number,
            server,
            key,
            url,
        } = self;
        format!("{once} {sleeping} {number} {server} {key} {url}")
    }

    fn parse(text: &str) -> Self {
        let words: Vec<_> = text.splitn(6, ' ').collect();
        Self {
            once: words[0] == "true",
            sleeping: words[1] == "true",
            number: words[2].parse().unwrap(),
            server: words[3].parse().unwrap(),
            key: words[4].to_owned(),
            url: words[5].to_owned(),
        }
    }

    fn victim(&self) -> Pid {
        Pid::from_raw(self.server).unwrap_or_else(getpid)
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
    let (target, victim) = (Arc::clone(&armed), order.victim());
    let pass = move || {
        let target = target.load(Ordering::SeqCst);
        if target != 0 && passed.fetch_add(1, Ordering::SeqCst) + 1 == target {
            kill_process(victim, Signal::KILL).unwrap();
        }
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    match order.sleeping {
        true => runtime.on_thread_park(pass),
        false => runtime.on_thread_unpark(pass),
    };
    runtime.enable_all().build().unwrap().block_on(async {
        let transactional = connect(&order.url).await;
        armed.store(order.number, Ordering::SeqCst);
        let paid = pay(&transactional, &order).await;
        armed.store(0, Ordering::SeqCst);
        if order.server == 0 {
            paid.unwrap();
        }
    });
}

async fn connect(url: &str) -> Transactional {
    let config = MySqlConfig::default().sweep_every(None);
    let store = MySqlStore::connect_with(url, config).await.unwrap();
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
    let work = async |tx: &mut MySqlConnection| {
        let insert = sqlx::query("INSERT INTO payments VALUES (?)");
        insert.bind(&order.key).execute(tx).await?;
        Ok(IdempotencyKey::random().as_str().to_owned())
    };
    if order.once {
        return transactional.once_in_tx(&key, &request, work).await;
    }
    let work = async |tx: &mut MySqlConnection, _| work(tx).await;
    transactional.execute_in_tx(&key, &request, work).await
}

/// The matrix over one server.
struct Matrix {
    server: MariaDb,
    transactional: Transactional,
    once: bool,
    kills_server: bool,
}

impl Matrix {
    async fn open(once: bool, kills_server: bool) -> Option<Self> {
        let server = skip_or_fail(MariaDb::start().await)?;
        server
            .sql(
                "CREATE DATABASE shop; CREATE TABLE shop.payments (`key` VARCHAR(100) NOT NULL); \
                 CREATE USER client@127.0.0.1; GRANT ALL ON shop.* TO client@127.0.0.1",
            )
            .unwrap();
        let store = MySqlStore::connect(&server.url_of("shop")).await.unwrap();
        store.migrate().await.unwrap();
        Some(Self {
            transactional: connect(&server.url_of("shop")).await,
            server,
            once,
            kills_server,
        })
    }

    fn order(&self, sleeping: bool, number: u64) -> Order {
        let server = self.server.process_id().filter(|_| self.kills_server);
        let url = self.server.url_of("shop");
        Order {
            once: self.once,
            sleeping,
            number,
            server: server.map_or(0, |id| i32::try_from(id).unwrap()),
            key: IdempotencyKey::random().as_str().to_owned(),
            url: url.replace("//root@", "//client@"),
        }
    }

    /// Runs a client up to its end; whether there was a crash.
    async fn crash(&self, order: &Order) -> bool {
        let mut client = Command::new(env::current_exe().unwrap())
            .args(["--exact", "dies_when_it_is_told_to"])
            .env(ORDER, order.text())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut crashed = false;
        let status = loop {
            if !self.server.is_running() {
                crashed = true;
                self.server.restart().await.unwrap();
            }
            if let Some(status) = client.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let killed = status.signal() == Some(9);
        assert!(killed || status.success(), "{order:?}: {status}");
        // A commit that was sent may still be under way, and a server that was killed may take a moment.
        let sessions = "SELECT 'one' FROM information_schema.processlist WHERE user = 'client'";
        while self.server.sql(sessions).ok().as_deref() != Some("") {
            if !self.server.is_running() {
                crashed = true;
                self.server.restart().await.unwrap();
            }
        }
        crashed || killed
    }

    async fn rows(&self, order: &Order) -> i64 {
        let query = sqlx::query_scalar("SELECT COUNT(*) FROM payments WHERE `key` = ?");
        let rows = query.bind(&order.key).fetch_one(self.transactional.pool());
        rows.await.unwrap()
    }

    /// Holds the promise against what is there. Whether the row was there.
    async fn check(&self, order: &Order) -> bool {
        let there = self.rows(order).await;
        assert!(there <= 1, "{order:?}: {there} rows");
        let engine = self.transactional.engine();
        let found = engine.lookup(&order.record_key()).await.unwrap();
        let completed =
            found.is_some_and(|found| matches!(found.record.state, State::Completed { .. }));
        assert_eq!(there == 1, completed, "{order:?}: row and answer are apart");
        // Whatever happened, the next call has the key, and there is one row in the end.
        let again = pay(&self.transactional, order).await;
        let again = again.unwrap_or_else(|error| panic!("{order:?}: {error}"));
        assert_eq!(again.replayed, there == 1, "{order:?}");
        assert_eq!(self.rows(order).await, 1, "{order:?}");
        there == 1
    }
}

async fn crash_everywhere(once: bool, kills_server: bool) {
    let Some(matrix) = Matrix::open(once, kills_server).await else {
        return;
    };
    let rounds = env::var("IDEM_CRASH_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let (mut crashes, mut committed) = (0, 0);
    // A client that dies is quick, and how many points its call has is chance: from four on, with all
    // answers there at once. So it goes twice through both kinds of them.
    let passes = if kills_server { 2 } else { 4 };
    for pass in 0..passes * rounds {
        let (mut over, mut number) = (0, 1);
        while over < OVER {
            assert!(number < MOST_POINTS, "no end of points");
            let order = matrix.order(pass % 2 == 0, number);
            let crashed = matrix.crash(&order).await;
            let there = matrix.check(&order).await;
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
    println!("once: {once}, server: {kills_server}: {crashes} crashes, {committed} committed");
    assert!(crashes >= 10 * rounds, "{crashes}");
    assert!(committed < crashes || kills_server, "some were rolled back");
}

#[tokio::test]
async fn g7_once_in_tx_of_a_client_that_is_killed() {
    crash_everywhere(true, false).await;
}

#[tokio::test]
async fn g7_execute_in_tx_of_a_client_that_is_killed() {
    crash_everywhere(false, false).await;
}

#[tokio::test]
async fn g7_once_in_tx_on_a_server_that_is_killed() {
    crash_everywhere(true, true).await;
}

#[tokio::test]
async fn g7_execute_in_tx_on_a_server_that_is_killed() {
    crash_everywhere(false, true).await;
}
