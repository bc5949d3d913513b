//! Failovers and slot migrations under load from two processes.
//!
//! Each test starts this very program twice more, as workers: they execute the same keys, several
//! times each, and say what they ran and what they were answered.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod load;
mod verdict;
mod worker;

use std::{future::Future, time::Duration};

use idem_testbed::{Cluster, Sentinel, skip_or_fail};
use load::{Durable, Load};
use verdict::Verdict;

/// How long the workers work.
const LOAD: Duration = Duration::from_secs(20);
/// A prefix that puts all records of a Cluster into one slot, so that a failover or a migration
/// concerns all of them.
const ONE_SLOT: &str = "{load}:";

/// Runs the load while `disturb` does its worst, and says what came of it.
async fn under_load(load: Load, disturb: impl Future<Output = ()>) -> Verdict {
    let workers = load.start();
    disturb.await;
    let verdict = Verdict::over(workers.finish());
    println!("{load}: {verdict}");
    verdict
}

async fn sentinel_failover(durable: Durable) -> Option<Verdict> {
    let sentinel = skip_or_fail(Sentinel::start().await)?;
    let load = Load {
        name: "Sentinel failover",
        url: sentinel.url(),
        prefix: ONE_SLOT,
        durable,
        time: LOAD,
    };
    let disturb = async {
        tokio::time::sleep(LOAD / 5).await;
        let old = sentinel.primary().await.unwrap();
        sentinel.kill_primary().await.unwrap();
        old.restart().await.unwrap();
        sentinel.settled().await.unwrap();
    };
    Some(under_load(load, disturb).await)
}

async fn cluster_failover(durable: Durable) -> Option<Verdict> {
    let cluster = skip_or_fail(Cluster::start().await)?;
    let slot = cluster.slot_of(ONE_SLOT).unwrap();
    let load = Load {
        name: "Cluster failover",
        url: cluster.url(),
        prefix: ONE_SLOT,
        durable,
        time: LOAD,
    };
    let disturb = async {
        tokio::time::sleep(LOAD / 5).await;
        let old = cluster.owner_of(slot).await.unwrap();
        cluster.kill_owner(slot).await.unwrap();
        old.restart().await.unwrap();
        cluster.settled().await.unwrap();
    };
    Some(under_load(load, disturb).await)
}

/// What asynchronous replication lost shows as work that ran again; nothing else may show.
#[tokio::test]
async fn g2_a_sentinel_failover_gives_no_wrong_answer() {
    if let Some(verdict) = sentinel_failover(Durable::Acknowledged).await {
        verdict.assert_no_wrong_answer();
    }
}

/// Both replicas confirm, so whichever is promoted has everything.
#[tokio::test]
async fn g1_a_sentinel_failover_loses_nothing_that_was_replicated() {
    if let Some(verdict) = sentinel_failover(Durable::Replicated { replicas: 2 }).await {
        verdict.assert_no_wrong_answer();
        verdict.assert_nothing_lost();
    }
}

/// As under Sentinel.
#[tokio::test]
async fn g2_a_cluster_failover_gives_no_wrong_answer() {
    if let Some(verdict) = cluster_failover(Durable::Acknowledged).await {
        verdict.assert_no_wrong_answer();
    }
}

/// The one replica confirms, and is promoted.
#[tokio::test]
async fn g1_a_cluster_failover_loses_nothing_that_was_replicated() {
    if let Some(verdict) = cluster_failover(Durable::Replicated { replicas: 1 }).await {
        verdict.assert_no_wrong_answer();
        verdict.assert_nothing_lost();
    }
}

/// The slot of all records goes back and forth between two primaries.
#[tokio::test]
async fn g5_a_slot_migration_shows_to_no_caller() {
    let Some(cluster) = skip_or_fail(Cluster::start().await) else {
        return;
    };
    let slot = cluster.slot_of(ONE_SLOT).unwrap();
    let load = Load {
        name: "slot migration",
        url: cluster.url(),
        prefix: ONE_SLOT,
        durable: Durable::Acknowledged,
        time: LOAD,
    };
    let workers = load.start();
    let mut migrations = 0;
    while !workers.are_done() {
        let owner = cluster.owner_of(slot).await.unwrap();
        let primaries = cluster.primaries().await.unwrap();
        let other = primaries
            .into_iter()
            .find(|node| node.port() != owner.port())
            .unwrap();
        cluster.migrate_slot(slot, &other).await.unwrap();
        migrations += 1;
    }
    let verdict = Verdict::over(workers.finish());
    println!("{load}, {migrations} times: {verdict}");
    assert!(migrations > 1, "the slot went there and back");
    verdict.assert_no_wrong_answer();
    verdict.assert_nothing_lost();
    verdict.assert_no_errors();
}
