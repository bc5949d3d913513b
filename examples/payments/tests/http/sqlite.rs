//! Keys and books in one SQLite file: a payment commits together with its answer.

use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::service::{Answer, Service, order, trouble, until};

/// A file of its own.
struct File(TempDir);

impl File {
    fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn service(&self) -> Service {
        let url = format!("sqlite:{}", self.0.path().join("payments.db").display());
        Service::start(&["--store", &url, "--lease", "2s"]).await
    }
}

/// A hundred requests to two processes (G1): one charge between them, on books that both see.
#[tokio::test]
async fn a_race_between_processes_is_charged_once() {
    let file = File::fresh();
    let services = [file.service().await, file.service().await];
    let slow = trouble(&json!({"delay_ms": 50, "answer_delay_ms": 50}));
    let mut racers = JoinSet::new();
    for service in services.iter().cycle().take(100) {
        racers.spawn(Answer::of(service.payment("acme", "k", &slow)));
    }
    let answers = racers.join_all().await;
    let first = |answer: &&Answer| answer.status == StatusCode::CREATED && !answer.is_replay();
    assert_eq!(answers.iter().filter(first).count(), 1);
    for service in &services {
        assert_eq!(service.charges("acme").await, 1);
    }
}

/// Answers and books outlive the process.
#[tokio::test]
async fn the_books_survive_a_process_that_is_killed() {
    let file = File::fresh();
    let before = file.service().await;
    let paid = before.pay("acme", "k", &order()).await;
    assert_eq!(paid.status, StatusCode::CREATED);
    before.program.kill();
    let after = file.service().await;
    after.pay("acme", "k", &order()).await.assert_replays(&paid);
    assert_eq!(after.charges("acme").await, 1);
}

/// Killed under load again and again: no payment twice, and none lost that was answered (G7).
/// `IDEM_KILLS` says how often.
#[tokio::test]
async fn g7_no_payment_is_doubled_or_lost_however_often_the_service_is_killed() {
    let kills: usize = std::env::var("IDEM_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let file = File::fresh();
    let mut answered = Vec::new();
    let mut keys = Vec::new();
    for round in 0..kills {
        let service = file.service().await;
        let mut load = JoinSet::new();
        for n in 0..8 {
            let key = format!("k-{round}-{n}");
            let request = service.payment("acme", &key, &order()).send();
            load.spawn({
                let key = key.clone();
                async move { (key, request.await) }
            });
            keys.push(key);
        }
        // While they are at work, each time a little further.
        let first = load.join_next().await.unwrap().unwrap();
        service.program.kill();
        load.spawn(async move { first });
        for (key, answer) in load.join_all().await {
            if answer.is_ok_and(|answer| answer.status() == StatusCode::CREATED) {
                answered.push(key);
            }
        }
        // Those that were cut off are paid by their repeats, when their lease is over.
        if round % 5 == 4 || round + 1 == kills {
            let service = file.service().await;
            for key in &keys {
                let paid = until(async || {
                    let answer = service.pay("acme", key, &order()).await;
                    (answer.status == StatusCode::CREATED).then_some(answer)
                });
                let paid = paid.await;
                assert!(paid.is_replay() || !answered.contains(key), "{key} is lost");
            }
            assert_eq!(service.charges("acme").await, keys.len() as u64);
            answered.clone_from(&keys);
        }
    }
}
