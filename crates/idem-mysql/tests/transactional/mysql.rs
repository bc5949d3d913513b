//! What is MySQL's own: its deadlocks, its bounds on waiting, its snapshots.

use idem_core::{error::CommitError, machine::Ending, spi::OpenTransaction};
use idem_mysql::TxError;
use sqlx::Row;

use crate::{
    in_every_world,
    open_tx::paid,
    world::{World, pay},
};

in_every_world!(
    the_bound_on_waiting_is_put_back_for_the_work,
    work_that_swallows_a_deadlock_cannot_commit,
    work_longer_than_the_lease_keeps_its_key,
    g7_a_transaction_that_is_over_is_not_called_committed,
    g7_nothing_is_stored_outside_of_a_transaction,
    s5_a_completion_that_waited_past_the_expiry_does_not_commit,
    g3_a_superseded_execution_commits_nothing,
);

async fn the_bound_on_waiting_is_put_back_for_the_work(world: World) {
    let shown = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |tx| {
            let show = "SELECT CAST(@@SESSION.innodb_lock_wait_timeout AS CHAR)";
            let row = sqlx::raw_sql(show).fetch_one(tx).await?;
            row.try_get::<String, _>(0)
        })
        .await
        .unwrap();
    assert_eq!(shown.value, "50", "as the server has it");
}

async fn work_that_swallows_a_deadlock_cannot_commit(world: World) {
    world
        .sql("CREATE TABLE pair (id INT PRIMARY KEY, n INT NOT NULL)")
        .await;
    world.sql("INSERT INTO pair VALUES (1, 0), (2, 0)").await;
    let failed = world
        .transactional
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            pay(tx).await.unwrap();
            world.lose_a_deadlock(tx).await;
            Ok::<_, String>("all is well".to_owned())
        })
        .await;
    let rolled_back = matches!(failed, Err(TxError::Commit(CommitError::RolledBack(_))));
    assert!(rolled_back, "{failed:?}");
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn work_longer_than_the_lease_keeps_its_key(world: World) {
    let lease = std::time::Duration::from_millis(300);
    let policy = idem_core::Policy::default().lease(lease);
    let engine = world.transactional.engine().with_policy(policy).unwrap();
    let brief = world.store().transactional(&engine);
    let paid = brief
        .execute_in_tx(&world.key, &world.fingerprint, async |tx, _| {
            // Takes the snapshot of the transaction.
            let seen = sqlx::raw_sql("SELECT COUNT(*) FROM payments");
            seen.fetch_one(&mut *tx).await.unwrap();
            tokio::time::sleep(4 * lease).await;
            pay(tx).await
        })
        .await
        .unwrap();
    assert_eq!(paid.value, "p-1");
    assert_eq!(world.payments().await, 1);
    assert_eq!(world.record().await.unwrap(), "completed 1");
}

async fn g7_a_transaction_that_is_over_is_not_called_committed(world: World) {
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let completion = world
        .transactional
        .complete_in_tx(&mut tx, execution, "answer");
    let completion = completion.await.unwrap();
    // As the server does to end a deadlock.
    sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.unwrap();
    let committed = completion.commit(tx).await;
    assert!(
        matches!(committed, Err(CommitError::RolledBack(_))),
        "{committed:?}"
    );
    assert_eq!(world.payments().await, 0);
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn g7_nothing_is_stored_outside_of_a_transaction(world: World) {
    let mut connection = world.pool().acquire().await.unwrap();
    let claim = world
        .transactional
        .claim_in_tx(&mut connection, &world.key, &world.fingerprint);
    assert!(claim.await.is_err());
    assert_eq!(world.record().await, None);
    let execution = world.acquire().await;
    let completed = world
        .transactional
        .complete_in_tx(&mut connection, execution, "answer");
    let completed = completed.await;
    assert!(
        matches!(completed, Err(CommitError::RolledBack(_))),
        "{completed:?}"
    );
    assert_eq!(world.record().await.unwrap(), "retryable 1");
}

async fn s5_a_completion_that_waited_past_the_expiry_does_not_commit(world: World) {
    let patient = world.patient().await;
    let execution = world.acquire().await;
    let mut tx = world.pool().begin().await.unwrap();
    pay(&mut tx).await.unwrap();
    let mut somebody = world.pool().begin().await.unwrap();
    let lock = sqlx::raw_sql("SELECT 1 FROM idem_records FOR UPDATE");
    lock.execute(&mut *somebody).await.unwrap();
    let completing = patient.complete_in_tx(&mut tx, execution, "answer");
    let expiring = async {
        while world.waiting_for_locks().await == 0 {}
        let expire = sqlx::raw_sql("UPDATE idem_records SET expires_at = updated_at + 1");
        expire.execute(&mut *somebody).await.unwrap();
        somebody.commit().await.unwrap();
    };
    let (completed, ()) = tokio::join!(completing, expiring);
    // With snapshot isolation the server refuses before the record is looked at.
    let refused = completed.unwrap_err();
    let refuses = matches!(
        refused,
        CommitError::Superseded(_) | CommitError::RolledBack(_)
    );
    assert!(refuses, "{refused:?}");
    drop(tx);
    assert_eq!(world.payments().await, 0);
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
