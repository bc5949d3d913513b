//! What a worker does, in a process of its own.

use std::{env, fmt, time::Duration};

use idem_core::{
    Failure, Fingerprint, Idempotency, IdempotencyKey, OnBusy, Policy, RecordKey, Refused, Scope,
};
use idem_postgres::{PostgresConfig, PostgresStore, Protocol, Transactional, TxError};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

pub(crate) const TEST: &str = "worker::runs_when_it_is_told_to";
pub(crate) const TASK: &str = "IDEM_RACE_TASK";
const MARK: &str = "round ";

/// Callers of one process that ask for the same key at once.
const DUPLICATES: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Execute,
    /// Through PgBouncer.
    ExecutePooled,
    Once,
}

/// What the workers are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) url: String,
    pub(crate) mode: Mode,
    pub(crate) rounds: u32,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.mode, self.rounds, self.url)
    }
}

impl Task {
    fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        let mode = match words.next().unwrap() {
            "Execute" => Mode::Execute,
            "ExecutePooled" => Mode::ExecutePooled,
            _ => Mode::Once,
        };
        Self {
            mode,
            rounds: words.next().unwrap().parse().unwrap(),
            url: words.next().unwrap().to_owned(),
        }
    }
}

/// Reads what a worker says of a round.
pub(crate) fn parse(line: &str) -> Option<(u32, String)> {
    // The test harness writes into the first line.
    let (_, said) = line.split_once(MARK)?;
    let (round, answer) = said.split_once(' ')?;
    Some((round.parse().ok()?, answer.to_owned()))
}

/// The body of a worker process; does nothing in the process that runs the tests.
#[test]
fn runs_when_it_is_told_to() {
    let Ok(task) = env::var(TASK) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(work(Task::parse(&task)));
}

async fn work(task: Task) {
    let protocol = match task.mode {
        Mode::ExecutePooled => Protocol::Simple,
        Mode::Execute | Mode::Once => Protocol::Prepared,
    };
    // Fifty transactions wait for ten connections and for one of them.
    let config = PostgresConfig::default()
        .protocol(protocol)
        .lock_timeout(Duration::from_secs(20))
        .patience(Duration::from_secs(60));
    let store = PostgresStore::connect_with(&task.url, config)
        .await
        .unwrap();
    let policy = Policy::default()
        .lease(Duration::from_secs(180))
        .retry_budget(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
        .on_busy(OnBusy::Wait(Duration::from_secs(60)));
    let idem = Idempotency::builder(store.clone()).policy(policy);
    let caller = Caller {
        pool: store.pool().clone(),
        transactional: store.transactional(&idem.build().unwrap()),
        mode: task.mode,
    };
    for round in 0..task.rounds {
        let asked: Vec<_> = (0..DUPLICATES)
            .map(|_| tokio::spawn(caller.clone().ask(round)))
            .collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        let same = answers.iter().all(|answer| *answer == answers[0]);
        assert!(same, "G2: one key, one answer: {answers:?}");
        println!("{MARK}{round} {}", answers[0]);
    }
}

#[derive(Clone)]
struct Caller {
    pool: PgPool,
    transactional: Transactional,
    mode: Mode,
}

impl Caller {
    async fn ask(self, round: u32) -> String {
        let (key, request) = (key(round), Fingerprint::of("races", &round.to_be_bytes()));
        if self.mode == Mode::Once {
            return self.once(&key, &request, round).await;
        }
        let engine = self.transactional.engine();
        let answer = engine.execute(&key, &request, async |_| {
            let mut connection = self.pool.acquire().await.unwrap();
            Ok::<_, Failure<String>>(run(&mut connection, round).await.unwrap())
        });
        answer.await.unwrap().value
    }

    async fn once(&self, key: &RecordKey, request: &Fingerprint, round: u32) -> String {
        loop {
            let work = async |tx: &mut PgConnection| run(tx, round).await;
            match self.transactional.once_in_tx(key, request, work).await {
                Ok(committed) => return committed.value,
                Err(TxError::Refused(Refused::InFlight { .. })) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The effect: a row that says that this round ran.
async fn run(connection: &mut PgConnection, round: u32) -> Result<String, sqlx::Error> {
    // In plain text, which PgBouncer takes outside of a transaction as well.
    let insert = AssertSqlSafe(format!("INSERT INTO runs VALUES ({round})"));
    sqlx::raw_sql(insert).execute(connection).await?;
    Ok(IdempotencyKey::random().as_str().to_owned())
}

fn key(round: u32) -> RecordKey {
    let scope = Scope::new("races").unwrap();
    scope.key(&IdempotencyKey::new(format!("round-{round}")).unwrap())
}

#[test]
fn tasks_and_rounds_are_read_as_they_were_written() {
    let task = Task {
        url: "postgres://postgres@127.0.0.1:5432/postgres".to_owned(),
        mode: Mode::Once,
        rounds: 7,
    };
    assert_eq!(Task::parse(&task.to_string()), task);
    assert_eq!(parse("test x ... round 3 abc"), Some((3, "abc".to_owned())));
}
