//! Runs clients and looks at what they left.
//!
//! Compiled into the tests of each store, beside its own `world`.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use idem_core::{IdempotencyKey, store::State};

use crate::{
    client::{self, Mode, Order, Point, Told, Victim, Word},
    world::{SURE, Transactional, World},
};

/// More points than a call has, also when it goes on over a restart of the server.
const MOST_POINTS: u64 = 1000;

/// The number of points differs from call to call, by how soon answers come: the matrix is done
/// when so many calls in a row had fewer.
const OVER: usize = 3;

/// Calls in which one of those is looked for.
const MOST_CALLS: usize = 200;

/// What came of a number of runs.
#[derive(Default)]
struct Counts {
    runs: usize,
    /// The row was there after the crash.
    committed: usize,
    /// It was not, and the key could be had again.
    rolled_back: usize,
    /// The client could not tell.
    unknown: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
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

/// `IDEM_CRASH_ROUNDS`, or one.
fn rounds() -> usize {
    let rounds = std::env::var("IDEM_CRASH_ROUNDS").ok();
    rounds.map_or(1, |rounds| rounds.parse().unwrap())
}

pub(crate) async fn crash_everywhere(world: World, mode: Mode, victim: Victim) {
    let transactional = client::transactional(world.store());
    let matrix = Matrix {
        world,
        transactional,
        mode,
        victim,
    };
    let mut counts = Counts::default();
    for _ in 0..rounds() {
        for point in [Point::Sleep, Point::Wake] {
            counts.add(&matrix.run(point).await);
        }
    }
    println!("{mode:?}, {victim:?} killed: {counts}");
    let sure = usize::try_from(2 * SURE).unwrap();
    assert!(counts.runs >= sure * rounds(), "{counts}");
    assert!(counts.rolled_back > 0, "{counts}");
}

struct Matrix {
    world: World,
    transactional: Transactional,
    mode: Mode,
    victim: Victim,
}

impl Matrix {
    /// Crashes at every point of this kind.
    async fn run(&self, point: Point) -> Counts {
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
                url: self.world.url(),
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
                    self.world.crash_server().await;
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
        // Nobody knows when a transaction ends whose client has gone: this waits for it.
        if order.victim == Victim::Client {
            self.world.wait_for_the_dead().await;
        }
        let rows = self.world.rows(&order.key).await;
        assert!(rows <= 1, "{order}: {rows} rows");
        let completed = self.is_completed(order).await;
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
        let again = client::pay(&self.transactional, order).await;
        let again = again.unwrap_or_else(|error| panic!("{order}: {error}"));
        assert_eq!(again.replayed, rows == 1, "{order}");
        assert_eq!(self.world.rows(&order.key).await, 1, "{order}");
        assert!(self.is_completed(order).await, "{order}");
        rows == 1
    }

    async fn is_completed(&self, order: &Order) -> bool {
        let engine = self.transactional.engine();
        let found = engine.lookup(&order.record_key()).await.unwrap();
        found.is_some_and(|found| matches!(found.record.state, State::Completed { .. }))
    }
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
