//! A transaction that is handed to whoever ends the execution.

use idem_core::{Claim, Execution, machine::Ending, spi::OpenTransaction};
use idem_sqlite::{CommitError, OpenTx};

use crate::world::{World, pay};

/// A claim, and a row that waits for its commit.
async fn paid(world: &World) -> (Execution, Box<OpenTx>) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    pay(&mut tx).await.unwrap();
    (execution, Box::new(world.transactional.open_tx(tx)))
}

#[tokio::test]
async fn g7_an_answer_commits_with_the_rows() {
    let world = World::open().await;
    let (execution, transaction) = paid(&world).await;
    assert_eq!(world.payments().await, 0, "not yet committed");
    let ending = Ending::Complete("answer".into());
    transaction.end(execution, ending).await.unwrap();
    assert_eq!(world.payments().await, 1);
    assert!(matches!(world.claim().await, Claim::Replay(answer) if answer == "answer"));
}

#[tokio::test]
async fn g7_a_retryable_ending_rolls_the_rows_back() {
    let world = World::open().await;
    let (execution, transaction) = paid(&world).await;
    transaction.end(execution, Ending::Retry).await.unwrap();
    assert_eq!(world.payments().await, 0);
    let again = world.acquire().await;
    assert_eq!(again.attempt(), 2);
    again.release().await.unwrap();
}

#[tokio::test]
async fn g7_an_open_transaction_that_is_dropped_rolls_the_rows_back() {
    let world = World::open().await;
    let (execution, transaction) = paid(&world).await;
    drop(transaction);
    execution.fail("broken").await.unwrap();
    assert_eq!(world.payments().await, 0);
    assert!(matches!(world.claim().await, Claim::ReplayFailure(failure) if failure == "broken"));
}

#[tokio::test]
async fn g3_a_superseded_execution_commits_nothing() {
    let world = World::open().await;
    let execution = world.acquire().await;
    world.take_over().await;
    let mut tx = world.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    pay(&mut tx).await.unwrap();
    let transaction = Box::new(world.transactional.open_tx(tx));
    let recorded = transaction.end(execution, Ending::Complete("late".into()));
    let refused = recorded.await.unwrap_err();
    assert!(matches!(refused, CommitError::Superseded(_)), "{refused}");
    assert_eq!(world.payments().await, 0);
}
