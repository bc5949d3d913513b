//! What is PostgreSQL's own: its errors, its bounds on waiting, its isolation levels.

use idem_core::{error::CommitError, machine::Ending, spi::OpenTransaction};
use idem_postgres::TxError;
use sqlx::Row;

use crate::{
    in_every_world,
    open_tx::paid,
    world::{Setting, World, pay},
};

in_every_world!(
    the_bound_on_waiting_is_put_back_for_the_work,
    work_that_swallows_a_failed_statement_cannot_commit,
    g7_a_transaction_that_failed_meanwhile_is_not_called_committed,
    s5_a_completion_that_waited_past_the_expiry_does_not_commit,
    g3_a_superseded_execution_commits_nothing,
);

async fn the_bound_on_waiting_is_put_back_for_the_work(world: World) {
    // A key that is free, one that is taken over, and one whose answer is expired.
    for before in [
        "SELECT 'nothing'",
        "UPDATE idem.records SET status = 'retryable', payload = NULL",
        "UPDATE idem.records SET expires_at = clock_timestamp()",
    ] {
        world.sql(before).await;
        let shown = world
            .transactional
            .once_in_tx(&world.key, &world.fingerprint, async |tx| {
                let row = sqlx::raw_sql("SHOW lock_timeout").fetch_one(tx).await?;
                row.try_get::<String, _>(0)
            })
            .await
            .unwrap();
        assert!(!shown.replayed);
        assert_eq!(shown.value, "0", "as the server has it, after {before}");
    }
}

#[tokio::test]
async fn a_deferred_constraint_that_fails_at_the_commit_rolls_all_of_it_back() {
    let Some(world) = World::open(Setting::READ_COMMITTED).await else {
        return;
    };
    world
        .sql("ALTER TABLE payments ADD UNIQUE (reference) DEFERRABLE INITIALLY DEFERRED")
        .await;
    world.sql("INSERT INTO payments VALUES ('p-1')").await;
    let refused = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, pay)
        .await;
    let rolled_back = matches!(refused, Err(TxError::Commit(CommitError::RolledBack(_))));
    assert!(rolled_back, "{refused:?}");
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await, None);
}

async fn work_that_swallows_a_failed_statement_cannot_commit(world: World) {
    let failed = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            let failed = sqlx::raw_sql("SELECT 1 / 0").fetch_one(tx).await;
            assert!(failed.is_err());
            Ok::<_, String>("all is well".to_owned())
        })
        .await;
    let rolled_back = matches!(failed, Err(TxError::Commit(CommitError::RolledBack(_))));
    assert!(rolled_back, "{failed:?}");
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

#[tokio::test]
async fn work_longer_than_the_lease_is_renewed_at_read_committed() {
    let Some(world) = World::open(Setting::READ_COMMITTED).await else {
        return;
    };
    let lease = std::time::Duration::from_millis(300);
    let policy = idem_core::Policy::default().lease(lease);
    let engine = world.transactional.engine().with_policy(policy).unwrap();
    let brief = world.store().transactional(&engine);
    let paid = brief
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            // Until the record shows a renewal.
            loop {
                let revision = world.sql("SELECT revision::text FROM idem.records").await;
                if revision[0].as_deref() != Some("1") {
                    break;
                }
            }
            let seen = sqlx::raw_sql("SELECT count(*)::text FROM payments");
            let seen = seen.fetch_one(tx).await.unwrap();
            Ok::<String, String>(seen.get(0))
        })
        .await
        .unwrap();
    assert_eq!(paid.value, "1");
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await.unwrap(), "completed 1");
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

async fn g3_a_superseded_execution_commits_nothing(world: World) {
    let (execution, transaction) = paid(&world).await;
    world.take_over().await;
    let recorded = transaction.end(execution, Ending::Complete("late".into()));
    let refused = recorded.await.unwrap_err();
    let level = world.sql("SHOW transaction_isolation").await;
    match level[0].as_deref() {
        Some("read committed") => assert!(matches!(refused, CommitError::Superseded(_))),
        // The server refuses before the record is looked at.
        _ => assert!(matches!(refused, CommitError::RolledBack(_)), "{refused}"),
    }
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "in-flight 2");
}
