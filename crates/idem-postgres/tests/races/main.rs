//! G1: four processes, fifty duplicates in each, two hundred rounds: one execution per round.
//!
//! The test starts this very program four times more, as workers, which ask for the same keys.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod worker;

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use idem_postgres::PostgresStore;
use idem_testbed::{PgBouncer, Postgres, skip_or_fail};
use worker::{Mode, Task};

const PROCESSES: usize = 4;

#[tokio::test]
async fn g1_one_execution_per_round() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let url = postgres.url();
    race(
        &postgres,
        &Task {
            url,
            mode: Mode::Execute,
            rounds: 200,
        },
    )
    .await;
}

#[tokio::test]
async fn g1_one_execution_per_round_behind_pgbouncer() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let Some(bouncer) = skip_or_fail(PgBouncer::start(postgres.address()).await) else {
        return;
    };
    let url = bouncer.url();
    race(
        &postgres,
        &Task {
            url,
            mode: Mode::ExecutePooled,
            rounds: 50,
        },
    )
    .await;
}

#[tokio::test]
async fn g1_one_execution_per_round_at_serializable() {
    let builder = Postgres::builder().setting("default_transaction_isolation", "serializable");
    let Some(postgres) = skip_or_fail(builder.start().await) else {
        return;
    };
    let url = postgres.url();
    race(
        &postgres,
        &Task {
            url,
            mode: Mode::Execute,
            rounds: 50,
        },
    )
    .await;
}

#[tokio::test]
async fn g1_one_transaction_per_round() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let url = postgres.url();
    race(
        &postgres,
        &Task {
            url,
            mode: Mode::Once,
            rounds: 40,
        },
    )
    .await;
}

async fn race(postgres: &Postgres, task: &Task) {
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    store.migrate().await.unwrap();
    postgres
        .sql("CREATE TABLE runs (round int NOT NULL)")
        .unwrap();
    let workers: Vec<_> = (0..PROCESSES).map(|_| Worker::start(task)).collect();
    let mut answers: HashMap<u32, Vec<String>> = HashMap::new();
    for worker in workers {
        for (round, answer) in worker.finish() {
            answers.entry(round).or_default().push(answer);
        }
    }
    let ran = postgres
        .sql("SELECT round FROM runs GROUP BY round HAVING count(*) <> 1")
        .unwrap();
    assert!(ran.is_empty(), "G1: ran other than once: {ran:?}");
    let ran = postgres.sql("SELECT count(*) FROM runs").unwrap();
    assert_eq!(ran[0][0].as_ref().unwrap(), &task.rounds.to_string());
    for round in 0..task.rounds {
        let answers = &answers[&round];
        assert_eq!(
            answers.len(),
            PROCESSES,
            "every process answered all of its callers"
        );
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "G2: {answers:?}"
        );
    }
    let deadlocks = postgres
        .sql("SELECT sum(deadlocks) FROM pg_stat_database")
        .unwrap();
    assert_eq!(deadlocks[0][0].as_deref(), Some("0"));
}

/// A process at work.
struct Worker {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(task: &Task) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", worker::TEST, "--nocapture"])
            .env(worker::TASK, task.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// What all callers of a round were answered, for each round.
    fn finish(mut self) -> Vec<(u32, String)> {
        let lines = (&mut self.output).lines().map_while(Result::ok);
        let answers = lines.filter_map(|line| worker::parse(&line)).collect();
        assert!(self.process.wait().unwrap().success(), "a worker failed");
        answers
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
