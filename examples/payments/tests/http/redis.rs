//! Several processes over one Redis, alone, under Sentinel or in a Cluster, and processes that die.

use std::time::Duration;

use idem_testbed::{Cluster, Redis, Sentinel, skip_or_fail};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::service::{Answer, Service, order, trouble, until};

/// No server of these goes down, so none is to be replaced.
const NEVER: Duration = Duration::from_secs(300);

/// Starts one of several processes over the same Redis.
async fn start(redis: &Redis, args: &[&str]) -> Service {
    start_over(&redis.url(), args).await
}

async fn start_over(url: &str, args: &[&str]) -> Service {
    Service::start(&[&["--store", url], args].concat()).await
}

/// Runs cases, which take the URL of their store, on everything that a URL can name.
macro_rules! on_every_deployment {
    ($($case:ident),+ $(,)?) => {
        $(
            mod $case {
                use super::*;

                #[tokio::test]
                async fn alone() {
                    if let Some(redis) = skip_or_fail(Redis::start().await) {
                        super::$case(&redis.url()).await;
                    }
                }

                #[tokio::test]
                async fn under_sentinel() {
                    let started = Sentinel::builder().down_after(NEVER).start().await;
                    if let Some(sentinel) = skip_or_fail(started) {
                        super::$case(&sentinel.url()).await;
                    }
                }

                #[tokio::test]
                async fn in_a_cluster() {
                    let started = Cluster::builder().down_after(NEVER).start().await;
                    if let Some(cluster) = skip_or_fail(started) {
                        super::$case(&cluster.url()).await;
                    }
                }
            }
        )+
    };
}

on_every_deployment!(
    a_race_between_processes_is_charged_once,
    a_waiter_gets_the_answer_of_another_process,
    an_answer_outlives_its_process,
);

/// A hundred requests to two processes (G1): one charge between them.
async fn a_race_between_processes_is_charged_once(url: &str) {
    let services = [start_over(url, &[]).await, start_over(url, &[]).await];
    let slow = trouble(&json!({"delay_ms": 50}));
    let mut racers = JoinSet::new();
    for service in services.iter().cycle().take(100) {
        racers.spawn(Answer::of(service.payment("acme", "k", &slow)));
    }
    let answers = racers.join_all().await;
    let first = |answer: &&Answer| answer.status == StatusCode::CREATED && !answer.is_replay();
    assert_eq!(answers.iter().filter(first).count(), 1);
    let charges = services[0].charges("acme").await + services[1].charges("acme").await;
    assert_eq!(charges, 1);
}

/// Who waits at one process gets the answer that another one is working on (G2).
async fn a_waiter_gets_the_answer_of_another_process(url: &str) {
    let one = start_over(url, &[]).await;
    let other = start_over(url, &["--on-busy", "wait:60s"]).await;
    let slow = trouble(&json!({"delay_ms": 500}));
    let first = tokio::spawn(Answer::of(one.payment("acme", "k", &slow)));
    one.at_work("acme").await;
    let waited = other.pay("acme", "k", &slow).await;
    waited.assert_replays(&first.await.unwrap());
    assert_eq!(other.charges("acme").await, 0);
}

/// An answer outlives the process that gave it.
async fn an_answer_outlives_its_process(url: &str) {
    let before = start_over(url, &[]).await;
    let first = before.pay("acme", "k", &order()).await;
    before.program.kill();
    let after = start_over(url, &[]).await;
    after
        .pay("acme", "k", &order())
        .await
        .assert_replays(&first);
    assert_eq!(after.charges("acme").await, 0);
}

/// Starts a payment, and kills its process half-way.
async fn killed_half_way(redis: &Redis, slow: &Value) {
    let service = start(redis, &["--lease", "500ms"]).await;
    let request = tokio::spawn(Answer::try_of(service.payment("acme", "k", slow)));
    service.at_work("acme").await;
    service.program.kill();
    assert!(request.await.unwrap().is_err(), "nobody is left to answer");
}

/// Killed half-way, under `reclaim`: once its lease has run out, by the clock of Redis, the next
/// one runs, and knows that it is the second.
#[tokio::test]
async fn g8_a_payment_killed_half_way_is_taken_over() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let slow = trouble(&json!({"delay_ms": 5_000}));
    killed_half_way(&redis, &slow).await;
    let service = start(&redis, &["--on-busy", "wait:60s"]).await;
    let taken_over = service.pay("acme", "k", &slow).await;
    assert_eq!(taken_over.status, StatusCode::CREATED);
    assert!(!taken_over.is_replay());
    assert_eq!(taken_over.json()["execution"]["attempt"], 2);
    service.charged("acme", 1).await;
}

/// Killed half-way, under `halt`: nobody runs it again, and whoever asks is told why.
#[tokio::test]
async fn g8_a_payment_killed_half_way_is_halted() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let slow = trouble(&json!({"delay_ms": 60_000}));
    killed_half_way(&redis, &slow).await;
    let service = start(&redis, &["--on-abandoned", "halt"]).await;
    let halted = until(async || {
        let answer = service.pay("acme", "k", &slow).await;
        (answer.code() != "in-flight").then_some(answer)
    })
    .await;
    assert_eq!(halted.status, StatusCode::CONFLICT);
    assert_eq!(halted.code(), "outcome-unknown");
    assert_eq!(halted.header("retry-after"), None);
    assert_eq!(service.charges("acme").await, 0);
}

/// Redis is gone before the claim: nothing runs (G6), and once it is back the same request does.
#[tokio::test]
async fn g6_nothing_is_charged_while_the_store_is_away() {
    let Some(redis) = skip_or_fail(Redis::start().await) else {
        return;
    };
    let service = start(&redis, &[]).await;
    redis.kill();
    let refused = service.pay("acme", "k", &order()).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.code(), "store-unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(service.charges("acme").await, 0);

    redis.restart().await.unwrap();
    let paid = until(async || {
        let answer = service.pay("acme", "k", &order()).await;
        (answer.code() != "store-unavailable").then_some(answer)
    })
    .await;
    assert_eq!(paid.status, StatusCode::CREATED);
    service.charged("acme", 1).await;
}
