//! A transaction that is handed to whoever ends the execution.

use idem_core::{Claim, Execution, machine::Ending, spi::OpenTransaction};
use idem_mysql::{CommitError, OpenTx};

use crate::{
    in_every_world,
    world::{World, pay},
};

in_every_world!(
    g7_an_answer_commits_with_the_rows,
    g7_a_failure_commits_with_the_rows,
    g7_a_retryable_ending_rolls_the_rows_back,
    g7_an_open_transaction_that_is_dropped_rolls_the_rows_back,
    g3_a_superseded_execution_commits_nothing,
);

/// A claim, and a row that waits for its commit.
async fn paid(world: &World) -> (Execution, Box<OpenTx>) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    (execution, Box::new(world.transactional.open_tx(tx)))
}

async fn g7_an_answer_commits_with_the_rows(world: World) {
    let (execution, transaction) = paid(&world).await;
    assert_eq!(world.payments().await, 0, "not yet committed");
    let ending = Ending::Complete("answer".into());
    transaction.end(execution, ending).await.unwrap();
    assert_eq!(world.payments().await, 1);
    assert!(matches!(world.claim().await, Claim::Replay(answer) if answer == "answer"));
}

async fn g7_a_failure_commits_with_the_rows(world: World) {
    let (execution, transaction) = paid(&world).await;
    let ending = Ending::Fail("declined".into());
    transaction.end(execution, ending).await.unwrap();
    assert_eq!(world.payments().await, 1);
    assert!(matches!(world.claim().await, Claim::ReplayFailure(failure) if failure == "declined"));
}

async fn g7_a_retryable_ending_rolls_the_rows_back(world: World) {
    let (execution, transaction) = paid(&world).await;
    transaction.end(execution, Ending::Retry).await.unwrap();
    assert_eq!(world.payments().await, 0);
    let Claim::Acquired(again) = world.claim().await else {
        panic!("the key is free again");
    };
    assert_eq!(again.attempt(), 2);
    again.release().await.unwrap();
}

async fn g7_an_open_transaction_that_is_dropped_rolls_the_rows_back(world: World) {
    let (execution, transaction) = paid(&world).await;
    drop(transaction);
    execution.fail("broken").await.unwrap();
    assert_eq!(world.payments().await, 0);
    assert!(matches!(world.claim().await, Claim::ReplayFailure(failure) if failure == "broken"));
}

async fn g3_a_superseded_execution_commits_nothing(world: World) {
    let (execution, transaction) = paid(&world).await;
    world.take_over().await;
    let recorded = transaction.end(execution, Ending::Complete("late".into()));
    let refused = recorded.await.unwrap_err();
    assert!(matches!(refused, CommitError::Superseded(_)), "{refused}");
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "in-flight 2");
}
