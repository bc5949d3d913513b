//! G5, G7: a commit whose reply was lost is resolved by the record, not guessed.
//!
//! Compiled into the tests of each store that is a server, over a `world` of its own.

use idem_core::{error::CommitError, store::StoreError};
use idem_sql::tx::{InTx, TxError};
use idem_testbed::Fault;

use crate::{
    in_every_world,
    world::{Completion, Conn, World, pay},
};

in_every_world!(
    g7_an_execution_whose_commit_was_not_answered_is_committed,
    g7_an_execution_whose_commit_never_arrived_is_rolled_back,
    g7_once_whose_commit_was_not_answered_is_committed,
    g7_once_whose_commit_never_arrived_is_rolled_back,
    g7_a_connection_that_breaks_under_the_work_rolls_back,
    g7_an_execution_looked_for_past_its_retention_is_unknown,
    g7_once_looked_for_past_its_retention_is_unknown,
);

async fn g7_an_execution_whose_commit_was_not_answered_is_committed(world: World) {
    let (proxy, unlucky) = world.through_proxy().await;
    let paid = unlucky.execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
        proxy.arm(Fault::LoseReply.once().command("COMMIT"));
        pay(tx).await
    });
    let paid = paid.await.unwrap();
    assert_eq!((paid.value.as_str(), paid.replayed), ("p-1", false));
    assert_eq!(proxy.counts().lost_replies, 1);
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await.unwrap(), "completed 1");
}

async fn g7_an_execution_whose_commit_never_arrived_is_rolled_back(world: World) {
    let (proxy, unlucky) = world.through_proxy().await;
    let lost = unlucky.execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
        proxy.arm(Fault::CutBeforeRequest.once().command("COMMIT"));
        pay(tx).await
    });
    expect_rolled_back(&world, lost.await, Some("retryable 1")).await;
    let again = async |tx: &mut Conn, _| pay(tx).await;
    let again = unlucky
        .execute_in_tx(&world.key, &world.fingerprint, again)
        .await;
    assert!(!again.unwrap().replayed);
    assert_eq!(world.payments().await, 1);
}

async fn g7_once_whose_commit_was_not_answered_is_committed(world: World) {
    let (proxy, unlucky) = world.through_proxy().await;
    let paid = unlucky.once_in_tx(&world.key, &world.fingerprint, async |tx| {
        proxy.arm(Fault::LoseReply.once().command("COMMIT"));
        pay(tx).await
    });
    let paid = paid.await.unwrap();
    assert_eq!((paid.value.as_str(), paid.replayed), ("p-1", false));
    assert_eq!(proxy.counts().lost_replies, 1);
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await.unwrap(), "completed 1");
}

async fn g7_once_whose_commit_never_arrived_is_rolled_back(world: World) {
    let (proxy, unlucky) = world.through_proxy().await;
    let lost = unlucky.once_in_tx(&world.key, &world.fingerprint, async |tx| {
        proxy.arm(Fault::CutBeforeRequest.once().command("COMMIT"));
        pay(tx).await
    });
    expect_rolled_back(&world, lost.await, None).await;
    let again = unlucky
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    assert!(!again.unwrap().replayed);
    assert_eq!(world.payments().await, 1);
}

async fn g7_a_connection_that_breaks_under_the_work_rolls_back(world: World) {
    let (proxy, unlucky) = world.through_proxy().await;
    let broken = unlucky.execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
        proxy.arm(world.at_the_ending(Fault::CutBeforeRequest.once()));
        pay(tx).await
    });
    expect_rolled_back(&world, broken.await, Some("retryable 1")).await;
}

async fn g7_an_execution_looked_for_past_its_retention_is_unknown(world: World) {
    let transactional = world.forgetful();
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = transactional.complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    tx.commit().await.unwrap();
    expect_unknown(&world, completion).await;
}

async fn g7_once_looked_for_past_its_retention_is_unknown(world: World) {
    let transactional = world.forgetful();
    let mut tx = world.pool().begin().await.unwrap();
    let claim = transactional.claim_in_tx(&mut tx, &world.key, &world.fingerprint);
    let InTx::Acquired(once) = claim.await.unwrap() else {
        panic!("the key is free");
    };
    pay(&mut tx).await.unwrap();
    let completion = transactional.complete_once_in_tx(&mut tx, once, "answer");
    let completion = completion.await.unwrap();
    tx.commit().await.unwrap();
    expect_unknown(&world, completion).await;
}

/// The record has expired: it proves nothing any more (G2 ends with the retention), least of all
/// that the payment was rolled back.
async fn expect_unknown(world: &World, completion: Completion) {
    while world.has_a_live_record().await {}
    let lost = completion.find_out(StoreError::unknown("lost")).await;
    assert!(matches!(lost, Err(CommitError::Unknown(_))), "{lost:?}");
    assert_eq!(world.payments().await, 1);
}

async fn expect_rolled_back<T: std::fmt::Debug>(
    world: &World,
    lost: Result<T, TxError<sqlx::Error>>,
    record: Option<&str>,
) {
    let rolled_back = matches!(lost, Err(TxError::Commit(CommitError::RolledBack(_))));
    assert!(rolled_back, "{lost:?}");
    world.transactional.engine().wait_idle().await;
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.as_deref(), record);
}
