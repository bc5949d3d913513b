//! A transaction holds the only write lock: its length is bounded, and whoever waits is told.

use std::{future::pending, time::Duration};

use idem_core::{Idempotency, Policy};
use idem_sqlite::{SqliteConfig, TxError};
use sqlx::SqliteConnection;

use crate::world::{Told, World, pay};

fn brief() -> SqliteConfig {
    SqliteConfig::default()
        .transaction_limit(Duration::from_millis(100))
        .busy_timeout(Duration::from_millis(100))
        .send_timeout(Duration::from_millis(100))
}

#[tokio::test]
async fn once_in_tx_that_takes_too_long_is_rolled_back_and_runs_again() {
    let world = World::with(brief()).await;
    let slow = async |tx: &mut SqliteConnection| -> Result<String, Told> {
        pay(tx).await.unwrap();
        pending().await
    };
    let ended = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, slow)
        .await;
    assert!(matches!(ended, Err(TxError::TooLong(_))), "{ended:?}");
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await, None);
    let paid = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay);
    assert!(!paid.await.unwrap().replayed);
}

#[tokio::test]
async fn execute_in_tx_that_takes_too_long_is_rolled_back_and_runs_again() {
    let world = World::with(brief()).await;
    let slow = async |tx: &mut SqliteConnection, _| -> Result<String, Told> {
        pay(tx).await.unwrap();
        pending().await
    };
    let ended = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, slow)
        .await;
    assert!(matches!(ended, Err(TxError::TooLong(_))), "{ended:?}");
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable");
}

#[tokio::test]
async fn no_transaction_lasts_longer_than_a_third_of_the_lease() {
    let limit = Duration::from_secs(3600);
    let world = World::with(SqliteConfig::default().transaction_limit(limit)).await;
    let policy = Policy::default().lease(Duration::from_millis(300));
    let idem = Idempotency::builder(world.store().clone()).policy(policy);
    let transactional = world.store().transactional(&idem.build().unwrap());
    let slow = async |_: &mut SqliteConnection| -> Result<String, Told> { pending().await };
    let ended = transactional.once_in_tx(&world.key, &world.fingerprint, slow);
    let Err(TxError::TooLong(limit)) = ended.await else {
        panic!("it never ends by itself");
    };
    assert_eq!(limit, Duration::from_millis(100));
}

#[tokio::test]
async fn g6_a_claim_that_waits_too_long_for_the_lock_fails_and_nothing_runs() {
    let world = World::with(brief()).await;
    let mut tx = world.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    pay(&mut tx).await.unwrap();
    let policy = Policy::default().retry_budget(Duration::from_millis(300));
    let idem = Idempotency::builder(world.store().clone()).policy(policy);
    let transactional = world.store().transactional(&idem.build().unwrap());
    let work = async |_: &mut SqliteConnection| -> Result<String, Told> { panic!("G6: it runs") };
    let failed = transactional
        .once_in_tx(&world.key, &world.fingerprint, work)
        .await;
    let Err(TxError::Claim(error)) = failed else {
        panic!("{failed:?}");
    };
    assert!(error.source.kind().is_transient(), "{error}");
    tx.rollback().await.unwrap();
}
