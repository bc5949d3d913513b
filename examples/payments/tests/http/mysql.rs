//! Keys and books in one MariaDB: a payment commits together with its answer.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use idem_testbed::{MariaDb, skip_or_fail};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::{JoinSet, spawn_blocking};

use crate::service::{Answer, Service, order, trouble};

/// A database of its own, of a server that all tests share.
struct Database {
    server: MariaDb,
    name: String,
}

impl Database {
    async fn fresh() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let server = spawn_blocking(server).await.unwrap()?;
        let name = format!("payments_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.sql(&format!("CREATE DATABASE {name}")).unwrap();
        Some(Self { server, name })
    }

    async fn service(&self, args: &[&str]) -> Service {
        let url = self.server.url_of(&self.name);
        Service::start(&[&["--store", &url], args].concat()).await
    }

    /// The status of the only record, and how many transfers there are.
    fn left(&self) -> String {
        let Self { server, name } = self;
        let sql = format!(
            "SELECT status, (SELECT COUNT(*) FROM {name}.transfers) FROM {name}.idem_records"
        );
        server.sql(&sql).unwrap()
    }
}

fn server() -> Option<MariaDb> {
    static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
    SERVER
        .get_or_init(|| skip_or_fail(MariaDb::start_blocking()))
        .clone()
}

/// A hundred requests to two processes (G1): one charge between them, on books that both see.
#[tokio::test]
async fn g1_a_race_between_processes_is_charged_once() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let services = tokio::join!(database.service(&[]), database.service(&[]));
    let slow = trouble(&json!({"delay_ms": 50}));
    let mut racers = JoinSet::new();
    for service in [&services.0, &services.1].into_iter().cycle().take(100) {
        racers.spawn(Answer::of(service.payment("acme", "k", &slow)));
    }
    let answers = racers.join_all().await;
    let first = |answer: &&Answer| answer.status == StatusCode::CREATED && !answer.is_replay();
    assert_eq!(answers.iter().filter(first).count(), 1);
    assert_eq!(services.0.charges("acme").await, 1);
    assert_eq!(services.1.charges("acme").await, 1);
    assert_eq!(database.left(), "completed\t1\n");
}

/// Killed between the row and its commit (G7): neither is there, and the repeat pays once.
#[tokio::test]
async fn g7_a_payment_killed_before_its_commit_leaves_nothing() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let slow = trouble(&json!({"answer_delay_ms": 5_000}));
    let killed = database.service(&["--lease", "500ms"]).await;
    let request = tokio::spawn(Answer::try_of(killed.payment("acme", "k", &slow)));
    killed.moved("acme").await;
    killed.program.kill();
    assert!(request.await.unwrap().is_err(), "nobody is left to answer");
    assert_eq!(database.left(), "in-flight\t0\n");

    let next = database.service(&["--on-busy", "wait:60s"]).await;
    let paid = next.pay("acme", "k", &slow).await;
    assert_eq!(paid.status, StatusCode::CREATED);
    assert_eq!(paid.json()["execution"]["attempt"], 2);
    assert_eq!(database.left(), "completed\t1\n");
}

/// Answers and books outlive the process (G2).
#[tokio::test]
async fn g2_the_books_survive_a_restart() {
    let Some(database) = Database::fresh().await else {
        return;
    };
    let before = database.service(&[]).await;
    let paid = before.pay("acme", "k", &order()).await;
    assert_eq!(paid.status, StatusCode::CREATED);
    before.program.kill();
    let after = database.service(&[]).await;
    after.pay("acme", "k", &order()).await.assert_replays(&paid);
    assert_eq!(after.charges("acme").await, 1);
}

#[cfg(feature = "vectors")]
#[tokio::test]
async fn the_http_vectors_pass() {
    if let Some(database) = Database::fresh().await {
        crate::vectors::pass_on(&database.service(&["--vectors"]).await).await;
    }
}
