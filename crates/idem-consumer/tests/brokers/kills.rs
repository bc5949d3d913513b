//! Workers and the broker are killed under load (SIGKILL, at random moments): each job has its effect
//! once downstream, none is lost, none is stuck.
//!
//! `IDEM_KILLS=200` kills so many workers, and a tenth as many brokers; 10 and 1 unless set.

mod broker;
mod downstream;
mod worker;

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep, timeout};

pub(crate) use broker::{Broker, Jetstream, Rabbit};
use downstream::Downstream;
use worker::Worker;

/// Workers at once.
const WORKERS: usize = 3;
/// Jobs for each worker that is killed.
const JOBS: usize = 10;
/// Longer than anything takes once nothing is killed any more.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) async fn effects_are_once_though_workers_and_the_broker_are_killed(
    broker: &impl Broker,
) {
    let kills = std::env::var("IDEM_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let downstream = Downstream::listen().await;
    let start = || Worker::start(broker, folder.path(), downstream.address);
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| start()).collect();
    let begun = Instant::now();
    let publish = async {
        for job in 0..kills * JOBS {
            // A fifth of them twice, as publishers do that are not sure.
            for _ in 0..1 + usize::from(job % 5 == 0) {
                broker.publish(job).await;
            }
            sleep(Duration::from_millis(8)).await;
        }
    };
    let break_things = async {
        for round in 1..=kills {
            sleep(Duration::from_millis(rand::random_range(20..180))).await;
            let victim = rand::random_range(0..WORKERS);
            workers[victim] = start();
            if round % 10 == 0 {
                broker.server().kill();
                sleep(Duration::from_millis(rand::random_range(0..200))).await;
                broker.server().restart().await.unwrap();
            }
        }
        workers
    };
    let ((), workers) = tokio::join!(publish, break_things);
    let all = timeout(STUCK, downstream.all_of(kills * JOBS)).await;
    assert!(
        all.is_ok(),
        "lost or stuck: {:?}; {}",
        downstream.missing(kills * JOBS),
        broker.describe().await
    );
    let empty = timeout(STUCK, until_empty(broker, workers, start)).await;
    assert!(empty.is_ok(), "{} messages are stuck", broker.left().await);
    assert_eq!(broker.dead_letters().await, 0);
    let effects: BTreeMap<usize, usize> = downstream.effects();
    let twice: Vec<_> = effects
        .iter()
        .filter(|(_, effects)| **effects != 1)
        .collect();
    assert!(twice.is_empty(), "not once: {twice:?}");
    println!(
        "{kills} workers and {} brokers killed in {:?}: {} jobs, each with one effect; the downstream was asked {} times",
        kills / 10,
        begun.elapsed(),
        effects.len(),
        downstream.asked(),
    );
}

/// With no worker alive every message that is left can be seen. One that was about to be acknowledged is
/// left to the next workers.
async fn until_empty(broker: &impl Broker, mut workers: Vec<Worker>, start: impl Fn() -> Worker) {
    loop {
        sleep(Duration::from_secs(1)).await;
        if broker.waiting().await > 0 {
            continue;
        }
        workers.clear();
        if broker.left().await == 0 {
            return;
        }
        workers = (0..WORKERS).map(|_| start()).collect();
    }
}
