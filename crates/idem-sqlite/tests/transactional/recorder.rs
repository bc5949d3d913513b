//! A transaction that is handed to whoever ends the execution.

use idem_core::{Claim, Execution, Recorder, machine::Ending};
use idem_sqlite::{CommitError, TxRecorder};

use crate::world::{World, pay};

/// A claim, and a row that waits for its commit.
async fn paid(world: &World) -> (Execution, Box<TxRecorder>) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    pay(&mut tx).await.unwrap();
    (execution, Box::new(world.transactional.recorder(tx)))
}

#[tokio::test]
async fn g7_an_answer_commits_with_the_rows() {
    let world = World::open().await;
    let (execution, recorder) = paid(&world).await;
    assert_eq!(world.payments().await, 0, "not yet committed");
    let ending = Ending::Complete("answer".into());
    recorder.record(execution, ending).await.unwrap();
    assert_eq!(world.payments().await, 1);
    assert!(matches!(world.claim().await, Claim::Replay(answer) if answer == "answer"));
}

#[tokio::test]
async fn g7_a_retryable_ending_rolls_the_rows_back() {
    let world = World::open().await;
    let (execution, recorder) = paid(&world).await;
    recorder.record(execution, Ending::Retry).await.unwrap();
    assert_eq!(world.payments().await, 0);
    let again = world.acquire().await;
    assert_eq!(again.attempt(), 2);
    again.release().await.unwrap();
}

#[tokio::test]
async fn g7_a_recorder_that_is_dropped_rolls_the_rows_back() {
    let world = World::open().await;
    let (execution, recorder) = paid(&world).await;
    drop(recorder);
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
    let recorder = Box::new(world.transactional.recorder(tx));
    let recorded = recorder.record(execution, Ending::Complete("late".into()));
    let refused = recorded.await.unwrap_err();
    assert!(matches!(refused, CommitError::Superseded(_)), "{refused}");
    assert_eq!(world.payments().await, 0);
}
