//! What is killed, or sees its server killed: a process of its own.
//!
//! Compiled into the tests of each store, beside its own `world`.

use std::{
    env, fmt,
    io::{BufRead as _, Write as _, stdin, stdout},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use idem_core::{
    Fingerprint, Idempotency, IdempotencyKey, OnBusy, Policy, RecordKey, Scope,
    store::StoreErrorKind,
};
use rustix::process::{Signal, getpid, kill_process};

use crate::world::{self, CommitError, Committed, Conn, TestedStore, Transactional, TxError};

pub(crate) const TEST: &str = "client::dies_when_it_is_told_to";
pub(crate) const ORDER: &str = "IDEM_CRASH_ORDER";
/// Begins what a client says, for the test harness writes into the same lines.
pub(crate) const MARK: &str = "client: ";

/// Long enough for a client to do its work, and short enough to wait for when it died.
const LEASE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Execute,
    Once,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Client,
    Server,
}

/// Where the thread of a client can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// About to go to sleep.
    Sleep,
    /// Just woken up.
    Wake,
}

/// What a client has to do, and where the crash comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) mode: Mode,
    pub(crate) victim: Victim,
    pub(crate) point: Point,
    /// Counted from the first call on, from 1.
    pub(crate) number: u64,
    pub(crate) key: String,
    pub(crate) url: String,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mode,
            victim,
            point,
            number,
            key,
            url,
        } = self;
        write!(f, "{mode:?} {victim:?} {point:?} {number} {key} {url}")
    }
}

impl Order {
    fn parse(text: &str) -> Self {
        let words: Vec<_> = text.splitn(6, ' ').collect();
        Self {
            mode: if words[0] == "Once" {
                Mode::Once
            } else {
                Mode::Execute
            },
            victim: if words[1] == "Server" {
                Victim::Server
            } else {
                Victim::Client
            },
            point: if words[2] == "Wake" {
                Point::Wake
            } else {
                Point::Sleep
            },
            number: words[3].parse().unwrap(),
            key: words[4].to_owned(),
            url: words[5].to_owned(),
        }
    }

    pub(crate) fn record_key(&self) -> RecordKey {
        let scope = Scope::new("crashes").unwrap();
        scope.key(&IdempotencyKey::new(&self.key).unwrap())
    }
}

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is committed.
    Answered,
    /// Nothing was written.
    NotCommitted,
    /// It cannot be told.
    Unknown,
}

/// Something that a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// It stands at its point and waits for a line.
    AtThePoint,
    Told(Told),
}

impl Word {
    fn say(self) {
        println!("\n{MARK}{self:?}");
        stdout().flush().unwrap();
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let all = [
            Self::AtThePoint,
            Self::Told(Told::Answered),
            Self::Told(Told::NotCommitted),
            Self::Told(Told::Unknown),
        ];
        let said = line.strip_prefix(MARK)?;
        all.into_iter().find(|word| format!("{word:?}") == said)
    }
}

/// The body of a client; does nothing in the process that runs the tests.
#[test]
fn dies_when_it_is_told_to() {
    if let Ok(order) = env::var(ORDER) {
        Client::new(Order::parse(&order)).run();
    }
}

struct Client {
    order: Order,
    points: Arc<Points>,
}

/// Counts the points of one kind, once the call is under way, and stops at the one it is told to.
struct Points {
    armed: AtomicU64,
    passed: AtomicU64,
    victim: Victim,
}

impl Points {
    fn pass(&self) {
        let target = self.armed.load(Ordering::SeqCst);
        if target == 0 || self.passed.fetch_add(1, Ordering::SeqCst) + 1 != target {
            return;
        }
        match self.victim {
            Victim::Client => kill_process(getpid(), Signal::KILL).unwrap(),
            Victim::Server => {
                Word::AtThePoint.say();
                stdin().lock().read_line(&mut String::new()).unwrap();
            }
        }
    }
}

impl Client {
    fn new(order: Order) -> Self {
        let points = Arc::new(Points {
            armed: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            victim: order.victim,
        });
        Self { order, points }
    }

    fn run(self) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let points = Arc::clone(&self.points);
        match self.order.point {
            Point::Sleep => runtime.on_thread_park(move || points.pass()),
            Point::Wake => runtime.on_thread_unpark(move || points.pass()),
        };
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(self.call()).say();
    }

    async fn call(&self) -> Word {
        let transactional = connect(&self.order.url).await;
        self.points.armed.store(self.order.number, Ordering::SeqCst);
        let told = told(pay(&transactional, &self.order).await);
        self.points.armed.store(0, Ordering::SeqCst);
        Word::Told(told)
    }
}

/// The transactional mode as another process would have it.
async fn connect(url: &str) -> Transactional {
    transactional(&world::store(url).await)
}

pub(crate) fn transactional(store: &TestedStore) -> Transactional {
    let policy = Policy::default()
        .lease(LEASE)
        .on_busy(OnBusy::Wait(Duration::from_secs(60)));
    let idem = Idempotency::builder(store.clone()).policy(policy);
    store.transactional(&idem.build().unwrap())
}

/// The call, with its work: one row.
pub(crate) async fn pay(
    transactional: &Transactional,
    order: &Order,
) -> Result<Committed<String>, TxError<sqlx::Error>> {
    let (key, request) = (order.record_key(), Fingerprint::of("crashes", b"request"));
    let work = async |tx: &mut Conn| {
        let insert = sqlx::query(world::INSERT);
        insert.bind(&order.key).execute(tx).await?;
        Ok(IdempotencyKey::random().as_str().to_owned())
    };
    match order.mode {
        Mode::Once => transactional.once_in_tx(&key, &request, work).await,
        Mode::Execute => {
            let work = async |tx: &mut Conn, _| work(tx).await;
            transactional.execute_in_tx(&key, &request, work).await
        }
    }
}

fn told(answer: Result<Committed<String>, TxError<sqlx::Error>>) -> Told {
    match answer {
        Ok(_) => Told::Answered,
        Err(TxError::Work(_) | TxError::Commit(CommitError::RolledBack(_))) => Told::NotCommitted,
        // A claim that failed ran nothing, whatever is known of the claim itself.
        Err(TxError::Claim(error)) => {
            assert!(error.source.kind().is_transient(), "{error}");
            Told::NotCommitted
        }
        Err(TxError::Commit(CommitError::Unknown(error))) => {
            assert_ne!(error.kind(), StoreErrorKind::Config, "{error}");
            Told::Unknown
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn orders_and_words_are_read_as_they_were_written() {
    let order = Order {
        mode: Mode::Once,
        victim: Victim::Server,
        point: Point::Wake,
        number: 7,
        key: "k-1".to_owned(),
        url: "postgres://postgres@127.0.0.1:5432/postgres".to_owned(),
    };
    assert_eq!(Order::parse(&order.to_string()), order);
    for word in [Word::AtThePoint, Word::Told(Told::Unknown)] {
        assert_eq!(Word::parse(&format!("{MARK}{word:?}")), Some(word));
    }
}
