//! The steps by hand, in a transaction that the caller has already.

use idem_core::Claim;
use idem_postgres::{CommitError, InTx};

use crate::{
    in_every_world,
    world::{World, pay},
};

in_every_world!(
    g7_an_execution_is_completed_in_the_callers_transaction,
    g7_a_claim_and_its_completion_are_in_the_callers_transaction,
    g7_a_rollback_makes_the_key_free,
    g7_a_transaction_that_failed_meanwhile_is_not_called_committed,
    s5_a_completion_that_waited_past_the_expiry_does_not_commit,
);

async fn g7_an_execution_is_completed_in_the_callers_transaction(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    assert_eq!(
        world.record().await.unwrap(),
        "in-flight 1",
        "not yet committed"
    );
    completion.commit(tx).await.unwrap();
    assert_eq!(world.payments().await, 1);
    let again = world.claim().await;
    assert!(matches!(again, Claim::Replay(answer) if answer == "answer"));
}

async fn g7_a_claim_and_its_completion_are_in_the_callers_transaction(world: World) {
    let transactional = &world.transactional;
    let mut tx = world.pool().begin().await.unwrap();
    let claim = transactional
        .claim_in_tx(&mut tx, &world.key, &world.fingerprint)
        .await;
    let InTx::Acquired(once) = claim.unwrap() else {
        panic!("the key is free");
    };
    assert_eq!(once.attempt(), 1);
    pay(&mut tx).await.unwrap();
    let completion = transactional.complete_once_in_tx(&mut tx, once, "answer");
    let completion = completion.await.unwrap();
    assert_eq!(world.record().await, None, "not yet committed");
    completion.commit(tx).await.unwrap();
    assert_eq!(world.payments().await, 1);

    let mut tx = world.pool().begin().await.unwrap();
    let again = transactional
        .claim_in_tx(&mut tx, &world.key, &world.fingerprint)
        .await;
    assert!(matches!(again, Ok(InTx::Replay(answer)) if answer == "answer"));
}

async fn g7_a_rollback_makes_the_key_free(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    completion.await.unwrap().roll_back(tx).await;
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn g7_a_transaction_that_failed_meanwhile_is_not_called_committed(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    assert!(
        sqlx::raw_sql("SELECT 1 / 0")
            .execute(&mut *tx)
            .await
            .is_err()
    );
    let committed = completion.commit(tx).await;
    assert!(
        matches!(committed, Err(CommitError::RolledBack(_))),
        "{committed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn s5_a_completion_that_waited_past_the_expiry_does_not_commit(world: World) {
    let execution = world.acquire().await;
    world
        .sql("UPDATE idem.records SET expires_at = clock_timestamp() + interval '1 s'")
        .await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let mut somebody = world.pool().begin().await.unwrap();
    let lock = sqlx::raw_sql("SELECT 1 FROM idem.records FOR SHARE");
    lock.execute(&mut *somebody).await.unwrap();
    let completing = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let expiring = async {
        while world.waiting_for_locks().await == 0 {}
        let live = "SELECT key FROM idem.records WHERE expires_at > clock_timestamp()";
        while !world.sql(live).await.is_empty() {}
        somebody.rollback().await.unwrap();
    };
    let (completed, ()) = tokio::join!(completing, expiring);
    assert!(
        matches!(completed, Err(CommitError::Superseded(_))),
        "{completed:?}"
    );
    drop(tx);
    assert_eq!(world.payments().await, 0);
}
