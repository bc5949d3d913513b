//! A transaction that is handed to whoever ends the execution.
//!
//! Compiled into the tests of each store that is a server, over a `world` of its own.

use idem_core::{Claim, Execution, machine::Ending, spi::OpenTransaction};

use crate::{
    in_every_world,
    world::{OpenTx, World, pay},
};

in_every_world!(
    g7_an_answer_commits_with_the_rows,
    g7_a_failure_commits_with_the_rows,
    g7_a_retryable_ending_and_a_release_roll_the_rows_back,
    g7_an_open_transaction_that_is_dropped_rolls_the_rows_back,
);

/// A claim, and a row that waits for its commit.
pub(crate) async fn paid(world: &World) -> (Execution, Box<OpenTx>) {
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

async fn g7_a_retryable_ending_and_a_release_roll_the_rows_back(world: World) {
    for (ending, attempt) in [(Ending::Retry, 1), (Ending::Release, 2)] {
        let (execution, transaction) = paid(&world).await;
        assert_eq!(execution.attempt(), attempt);
        transaction.end(execution, ending).await.unwrap();
        assert_eq!(world.payments().await, 0);
    }
    assert_eq!(world.record().await.unwrap(), "released 2");
}

async fn g7_an_open_transaction_that_is_dropped_rolls_the_rows_back(world: World) {
    let (execution, transaction) = paid(&world).await;
    drop(transaction);
    execution.fail("broken").await.unwrap();
    assert_eq!(world.payments().await, 0);
    assert!(matches!(world.claim().await, Claim::ReplayFailure(failure) if failure == "broken"));
}
