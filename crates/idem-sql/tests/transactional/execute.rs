//! `execute_in_tx`: the claim commits first, the effects with their completion.
//!
//! Compiled into the tests of each store that is a server, over a `world` of its own.

use idem_core::{Refused, error::CommitError};
use idem_sql::tx::TxError;

use crate::{
    in_every_world,
    world::{Conn, World, pay},
};

in_every_world!(
    g7_the_rows_and_the_answer_commit_together,
    g7_an_error_rolls_back_and_the_next_call_runs,
    g7_a_panic_rolls_back_and_the_next_call_runs,
    g3_a_superseded_execution_cannot_commit,
    g7_the_claim_is_there_while_the_work_runs,
    g4_another_request_neither_runs_nor_changes_anything,
    a_value_of_another_type_is_told_and_stays,
    g2_a_value_that_cannot_be_replayed_is_rolled_back,
    a_refusal_that_is_a_value_is_replayed,
);

async fn g7_the_rows_and_the_answer_commit_together(world: World) {
    for replayed in [false, true] {
        let paid = world
            .transactional
            .execute_in_tx(&world.key, &world.fingerprint, async |tx, running| {
                assert_eq!(running.attempt(), 1);
                pay(tx).await
            })
            .await
            .unwrap();
        assert_eq!((paid.value.as_str(), paid.replayed), ("p-1", replayed));
        assert_eq!(world.payments().await, 1);
        assert_eq!(world.record().await.unwrap(), "completed 1");
    }
}

async fn g7_an_error_rolls_back_and_the_next_call_runs(world: World) {
    let failed = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            Err::<(), _>("no network")
        })
        .await;
    assert!(
        matches!(failed, Err(TxError::Work("no network"))),
        "{failed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");

    let paid = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, running| {
            assert_eq!(running.attempt(), 2);
            pay(tx).await
        })
        .await
        .unwrap();
    assert!(!paid.replayed);
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await.unwrap(), "completed 2");
}

async fn g7_a_panic_rolls_back_and_the_next_call_runs(world: World) {
    let failed = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            panic!("out of paper");
            #[expect(unreachable_code, reason = "says the type")]
            Ok::<(), String>(())
        })
        .await;
    assert!(
        matches!(&failed, Err(TxError::Panicked(why)) if why == "out of paper"),
        "{failed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn g3_a_superseded_execution_cannot_commit(world: World) {
    // At a stricter level the transaction locks the record when it begins, and nobody can take the
    // key over meanwhile: so here that happens just before.
    let execution = world.acquire().await;
    world.take_over().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completed = world.transactional.complete_in_tx(&mut tx, execution, "1");
    let completed = completed.await;
    assert!(
        matches!(completed, Err(CommitError::Superseded(_))),
        "{completed:?}"
    );
    // Even if the caller takes no notice.
    let _ = tx.commit().await;
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "in-flight 2");
}

async fn g7_the_claim_is_there_while_the_work_runs(world: World) {
    let elsewhere = world.elsewhere().await;
    let key = world.key.clone();
    let paid = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            let again = elsewhere
                .execute_in_tx(&key, &world.fingerprint, async |_, _| {
                    Ok::<_, String>(String::new())
                })
                .await;
            let told = match again {
                Err(TxError::Refused(Refused::InFlight { .. })) => true,
                // The claim waits for longer than a call may.
                Err(TxError::Claim(_)) => world.locks_records(),
                _ => false,
            };
            assert!(told, "{again:?}");
            Ok::<_, String>("p-1".to_owned())
        })
        .await
        .unwrap();
    assert_eq!(paid.value, "p-1");
    assert_eq!(world.payments().await, 1);
}

async fn g4_another_request_neither_runs_nor_changes_anything(world: World) {
    let other = idem_core::Fingerprint::of("payments/v1", b"5 usd");
    let first = async |tx: &mut Conn, _| pay(tx).await;
    let paid = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, first);
    paid.await.unwrap();
    let record = world.record().await;
    for _ in 0..2 {
        let refused = world
            .transactional
            .execute_in_tx(&world.key, &other, async |_, _| -> Result<String, String> {
                panic!("G4: it runs")
            })
            .await;
        assert!(
            matches!(refused, Err(TxError::Refused(Refused::Mismatch))),
            "{refused:?}"
        );
    }
    assert_eq!(world.record().await, record);
    assert_eq!(world.payments().await, 1);
}

async fn a_value_of_another_type_is_told_and_stays(world: World) {
    let first = async |tx: &mut Conn, _| pay(tx).await;
    let paid = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, first);
    paid.await.unwrap();
    let number = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |_, _| {
            Ok::<u64, String>(1)
        })
        .await;
    assert!(matches!(number, Err(TxError::Unreadable(_))), "{number:?}");
    assert_eq!(world.record().await.unwrap(), "completed 1");
}

async fn g2_a_value_that_cannot_be_replayed_is_rolled_back(world: World) {
    let failed = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.map(|_| f64::NAN)
        })
        .await;
    assert!(matches!(failed, Err(TxError::Unstorable(_))), "{failed:?}");
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn a_refusal_that_is_a_value_is_replayed(world: World) {
    for replayed in [false, true] {
        let refused = world
            .transactional
            .execute_in_tx(&world.key, &world.fingerprint, async |_, _| {
                Ok::<Result<String, String>, String>(Err("declined".to_owned()))
            })
            .await
            .unwrap();
        assert_eq!(refused.value, Err("declined".to_owned()));
        assert_eq!(refused.replayed, replayed);
    }
}
