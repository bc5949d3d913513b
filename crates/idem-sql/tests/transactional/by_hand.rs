//! The steps by hand, in a transaction that the caller has already.
//!
//! Compiled into the tests of each store that is a server, over a `world` of its own.

use idem_core::Claim;
use idem_sql::tx::InTx;

use crate::{
    in_every_world,
    world::{World, pay},
};

in_every_world!(
    g7_an_execution_is_completed_in_the_callers_transaction,
    g7_a_claim_and_its_completion_are_in_the_callers_transaction,
    g7_a_rollback_makes_the_key_free,
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
