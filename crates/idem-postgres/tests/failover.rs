//! A standby is promoted under load, with synchronous replication: nothing that was acknowledged
//! is lost, and nothing runs a second time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use idem_core::{
    Failure, Fingerprint, Idempotency, IdempotencyKey, OnBusy, Policy, RecordKey, Scope,
    store::State,
};
use idem_postgres::{PostgresStore, Transactional, TxError};
use idem_testbed::{FaultyProxy, Postgres, Replication, skip_or_fail};
use sqlx::PgConnection;

/// Tasks of each of two processes.
const TASKS: u32 = 8;
/// Acknowledged before, and after, the primary is killed.
const ACKNOWLEDGED: usize = 200;

/// What the callers saw: by key, the answers that they were given.
#[derive(Default)]
struct Ledger {
    answers: Mutex<HashMap<u32, Vec<String>>>,
    /// By key, how often the work ran to its end.
    ran: Mutex<HashMap<u32, usize>>,
    next: AtomicU32,
    over: AtomicBool,
}

impl Ledger {
    fn acknowledged(&self) -> usize {
        self.answers.lock().unwrap().len()
    }

    fn ran(&self, number: u32) {
        *self.ran.lock().unwrap().entry(number).or_default() += 1;
    }

    fn answered(&self, number: u32, answer: String) {
        self.answers
            .lock()
            .unwrap()
            .entry(number)
            .or_default()
            .push(answer);
    }
}

fn key(number: u32) -> RecordKey {
    let scope = Scope::new("failover").unwrap();
    scope.key(&IdempotencyKey::new(number.to_string()).unwrap())
}

fn request(number: u32) -> Fingerprint {
    Fingerprint::of("failover", &number.to_be_bytes())
}

async fn process(url: &str) -> Transactional {
    let store = PostgresStore::connect(url).await.unwrap();
    // No lease runs out in this test: whatever runs twice, runs twice by a fault.
    let policy = Policy::default()
        .lease(Duration::from_secs(600))
        .retry_budget(Duration::from_secs(60))
        .on_busy(OnBusy::Wait(Duration::from_secs(60)));
    let idem = Idempotency::builder(store.clone()).policy(policy);
    store.transactional(&idem.build().unwrap())
}

/// Asks for key after key, each of them twice over all tasks.
async fn ask(process: Transactional, ledger: Arc<Ledger>, in_tx: bool) {
    while !ledger.over.load(Ordering::SeqCst) {
        let number = ledger.next.fetch_add(1, Ordering::SeqCst) / 2;
        let answer = match in_tx {
            true => pay_in_tx(&process, &ledger, number).await,
            false => pay(&process, &ledger, number).await,
        };
        if let Some(answer) = answer {
            ledger.answered(number, answer);
        }
    }
}

async fn pay(process: &Transactional, ledger: &Ledger, number: u32) -> Option<String> {
    let work = async |_| {
        ledger.ran(number);
        Ok::<_, Failure<String>>(IdempotencyKey::random().as_str().to_owned())
    };
    let (key, request) = (key(number), request(number));
    let answer = process.engine().execute(&key, &request, work).await;
    answer.ok().map(|outcome| outcome.value)
}

async fn pay_in_tx(process: &Transactional, ledger: &Ledger, number: u32) -> Option<String> {
    let work = async |tx: &mut PgConnection| {
        let insert = sqlx::query("INSERT INTO payments VALUES ($1)");
        insert.bind(i64::from(number)).execute(tx).await?;
        ledger.ran(number);
        Ok::<_, sqlx::Error>(IdempotencyKey::random().as_str().to_owned())
    };
    let answer = process
        .once_in_tx(&key(number), &request(number), work)
        .await;
    match answer {
        Ok(committed) => Some(committed.value),
        // A stored answer that does not parse would be damage.
        Err(TxError::Unreadable(error)) => panic!("{error}"),
        Err(_) => None,
    }
}

/// Runs the load over a failover, and gives what was seen and the new primary.
async fn fail_over(in_tx: bool) -> Option<(Arc<Ledger>, Postgres, Transactional)> {
    let primary = skip_or_fail(Postgres::start().await)?;
    let standby = primary.add_standby(Replication::Synchronous).await.unwrap();
    let proxy = FaultyProxy::start(primary.address()).unwrap();
    let url = proxy.url(&primary.url());
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    primary
        .sql("CREATE TABLE payments (number bigint NOT NULL)")
        .unwrap();

    let ledger = Arc::new(Ledger::default());
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let process = process(&url).await;
        tasks.extend(
            (0..TASKS).map(|_| tokio::spawn(ask(process.clone(), Arc::clone(&ledger), in_tx))),
        );
    }
    until(|| ledger.acknowledged() >= ACKNOWLEDGED).await;
    primary.kill();
    standby.promote().await.unwrap();
    proxy.set_target(standby.address());
    let before = ledger.acknowledged();
    until(|| ledger.acknowledged() >= before + ACKNOWLEDGED).await;
    ledger.over.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let later = process(&standby.url()).await;
    Some((ledger, standby, later))
}

async fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_nothing_acknowledged_is_lost_and_nothing_runs_twice() {
    let Some((ledger, _standby, later)) = fail_over(false).await else {
        return;
    };
    let answers = std::mem::take(&mut *ledger.answers.lock().unwrap());
    for (number, answers) in &answers {
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "G2: {number}: {answers:?}"
        );
        let found = later.engine().lookup(&key(*number)).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{number} was acknowledged and is lost"));
        assert!(
            matches!(found.record.state, State::Completed { .. }),
            "{number}: {found:?}"
        );
        let again = pay(&later, &ledger, *number).await;
        assert_eq!(again.as_ref(), Some(&answers[0]), "G2: {number}");
    }
    let ran = ledger.ran.lock().unwrap();
    let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "ran more than once: {twice:?}");
    println!("{} keys acknowledged, {} ran", answers.len(), ran.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g7_every_row_is_there_once_with_its_answer() {
    let Some((ledger, standby, later)) = fail_over(true).await else {
        return;
    };
    let rows = standby
        .sql("SELECT number, count(*) FROM payments GROUP BY number")
        .unwrap();
    let paid: HashMap<u32, u64> = rows
        .into_iter()
        .map(|row| {
            (
                row[0].as_ref().unwrap().parse().unwrap(),
                row[1].as_ref().unwrap().parse().unwrap(),
            )
        })
        .collect();
    let twice: Vec<_> = paid.iter().filter(|(_, rows)| **rows != 1).collect();
    assert!(twice.is_empty(), "paid more than once: {twice:?}");
    let answers = std::mem::take(&mut *ledger.answers.lock().unwrap());
    for (number, answers) in &answers {
        assert!(
            paid.contains_key(number),
            "{number} was acknowledged and is lost"
        );
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "G2: {number}: {answers:?}"
        );
        let again = pay_in_tx(&later, &ledger, *number).await;
        assert_eq!(again.as_ref(), Some(&answers[0]), "G2: {number}");
    }
    // A row without an acknowledgement has its record all the same.
    for number in paid.keys() {
        let found = later.engine().lookup(&key(*number)).await.unwrap();
        let completed = found.is_some_and(|found| found.record.state.is_final());
        assert!(completed, "G7: {number} is paid and has no answer");
    }
    println!("{} keys acknowledged, {} paid", answers.len(), paid.len());
}
