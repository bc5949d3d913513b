//! Runs clients and looks at what they left.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use idem_core::{IdempotencyKey, store::State};
use idem_postgres::{PostgresStore, Transactional};
use idem_testbed::Postgres;

use crate::client::{self, Mode, Order, Point, Told, Victim, Word};

/// More points than a call has, also when it goes on over a restart of the server.
const MOST_POINTS: u64 = 1000;

/// The number of points differs from call to call, by how soon answers come: the matrix is done
/// when so many calls in a row had fewer.
const OVER: usize = 3;

/// So many points of a kind every call has, unless an answer is there before its client looks for it:
/// the claim, the begin, the work, the completion and the commit. A busy machine that runs the server
/// in the client's place does that, and the point is then looked for in another call.
pub(crate) const SURE: u64 = 5;
/// Calls in which one of those is looked for.
const MOST_CALLS: usize = 200;

/// What came of a number of runs.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) runs: usize,
    /// The row was there after the crash.
    pub(crate) committed: usize,
    /// It was not, and the key could be had again.
    pub(crate) rolled_back: usize,
    /// The client could not tell.
    unknown: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.committed += other.committed;
        self.rolled_back += other.rolled_back;
        self.unknown += other.unknown;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            committed,
            rolled_back,
            unknown,
        } = self;
        write!(
            f,
            "{runs} crashes, {committed} committed, {rolled_back} rolled back, {unknown} told unknown"
        )
    }
}

pub(crate) struct Matrix {
    server: Postgres,
    mode: Mode,
    victim: Victim,
}

impl Matrix {
    pub(crate) async fn new(server: Postgres, mode: Mode, victim: Victim) -> Self {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        store.migrate().await.unwrap();
        server
            .sql("CREATE TABLE payments (key text NOT NULL)")
            .unwrap();
        Self {
            server,
            mode,
            victim,
        }
    }

    /// Crashes at every point of this kind.
    pub(crate) async fn run(&self, point: Point) -> Counts {
        let mut counts = Counts::default();
        let (mut over, mut number, mut calls) = (0, 1, 0);
        while number < MOST_POINTS {
            calls += 1;
            let order = Order {
                mode: self.mode,
                victim: self.victim,
                point,
                number,
                key: IdempotencyKey::random().as_str().to_owned(),
                url: self.server.url(),
            };
            let (crashed, told) = self.crash(&order).await;
            let there = self.check(&order, told).await;
            if crashed {
                over = 0;
                counts.runs += 1;
                counts.committed += usize::from(there);
                counts.rolled_back += usize::from(!there);
                counts.unknown += usize::from(told == Some(Told::Unknown));
            } else {
                // The call was over before it came to this point.
                assert_eq!(told, Some(Told::Answered), "{order}");
                if number <= SURE && calls < MOST_CALLS {
                    continue;
                }
                over += 1;
                if over == OVER {
                    return counts;
                }
            }
            number += 1;
        }
        panic!("no end of points");
    }

    /// Runs a client up to the crash and, if it outlives that, to its end.
    async fn crash(&self, order: &Order) -> (bool, Option<Told>) {
        let mut client = Running::start(order);
        let mut crashed = false;
        while let Some(word) = client.next_word() {
            match word {
                Word::AtThePoint => {
                    crashed = true;
                    self.server.kill();
                    self.server.restart().await.unwrap();
                    client.go_on();
                }
                Word::Told(told) => {
                    assert!(client.process.wait().unwrap().success(), "{order}");
                    return (crashed, Some(told));
                }
            }
        }
        let status = client.process.wait().unwrap();
        let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
        assert!(
            killed && order.victim == Victim::Client,
            "{order}: {status}"
        );
        (true, None)
    }

    /// Holds the promise against what is there, and against what the client was told. Says whether
    /// the row was there.
    async fn check(&self, order: &Order, told: Option<Told>) -> bool {
        let transactional = client::connect(&self.server.url()).await;
        // Nobody knows when a transaction ends whose client has gone: this waits for it.
        self.wait_for_the_dead(order).await;
        let rows = self.rows(order);
        assert!(rows <= 1, "{order}: {rows} rows");
        let completed = is_completed(&transactional, order).await;
        assert_eq!(
            rows == 1,
            completed,
            "{order}: an answer and its row are there together"
        );
        match told {
            Some(Told::Answered) => assert_eq!(rows, 1, "{order}: it was told that it is there"),
            Some(Told::NotCommitted) => assert_eq!(rows, 0, "{order}: it was told that it is not"),
            Some(Told::Unknown) | None => {}
        }
        // Whatever happened, the next call has the key, and there is one row in the end.
        let again = client::pay(&transactional, order).await;
        let again = again.unwrap_or_else(|error| panic!("{order}: {error}"));
        assert_eq!(again.replayed, rows == 1, "{order}");
        assert_eq!(self.rows(order), 1, "{order}");
        assert!(is_completed(&transactional, order).await, "{order}");
        rows == 1
    }

    fn rows(&self, order: &Order) -> usize {
        let sql = format!("SELECT 1 FROM payments WHERE key = '{}'", order.key);
        self.server.sql(&sql).unwrap().len()
    }

    /// Waits until no session of the client's is left.
    async fn wait_for_the_dead(&self, order: &Order) {
        if order.victim == Victim::Server {
            return;
        }
        let others = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' \
             AND state <> 'idle' AND pid <> pg_backend_pid()";
        while !self.server.sql(others).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

async fn is_completed(transactional: &Transactional, order: &Order) -> bool {
    let found = transactional
        .engine()
        .lookup(&order.record_key())
        .await
        .unwrap();
    found.is_some_and(|found| matches!(found.record.state, State::Completed { .. }))
}

/// A client at work.
struct Running {
    process: Child,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(order: &Order) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", client::TEST, "--nocapture"])
            .env(client::ORDER, order.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: process.stdin.take().unwrap(),
            words: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    /// `None` when it has gone.
    fn next_word(&mut self) -> Option<Word> {
        let lines = self.words.by_ref().map_while(Result::ok);
        lines.into_iter().find_map(|line| Word::parse(&line))
    }

    fn go_on(&mut self) {
        self.orders.write_all(b"go on\n").unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
