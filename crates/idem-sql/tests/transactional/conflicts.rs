//! Transactions that get in each other's way.
//!
//! Compiled into the tests of each store that is a server, over a `world` of its own.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use idem_core::{IdempotencyKey, Policy, RecordKey, Scope};

use crate::{
    in_every_world,
    world::{Conn, Told, Transactional, World, is_transient},
};

in_every_world!(
    g7_work_that_conflicts_runs_again_until_it_commits,
    g7_a_conflict_is_the_callers_where_that_was_asked_for,
    g7_an_error_of_the_work_itself_does_not_run_it_again,
);

const TASKS: usize = 20;

/// What `?` makes of an error of the database in an application.
#[derive(Debug)]
struct Failed(sqlx::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the counter was not raised")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Reads one row and writes it, as whoever does so next to it does.
async fn count(tx: &mut Conn) -> Result<i64, Failed> {
    let read = sqlx::query_scalar::<_, i64>("SELECT n FROM counter");
    let n = read.persistent(false).fetch_one(&mut *tx).await;
    let n = n.map_err(Failed)? + 1;
    let write = sqlx::query("UPDATE counter SET n = n + 1").persistent(false);
    write.execute(tx).await.map_err(Failed)?;
    Ok(n)
}

/// As many as there are keys, all at once, within a minute.
async fn all_at_once(world: &World, retry: bool) -> Vec<Result<i64, String>> {
    world.sql("CREATE TABLE counter (n BIGINT NOT NULL)").await;
    world.sql("INSERT INTO counter VALUES (0)").await;
    let policy = Policy::default().retry_budget(Duration::from_secs(60));
    let engine = world.transactional.engine().with_policy(policy).unwrap();
    let patient = world.store().transactional(&engine);
    let patient = patient.retry_conflicts(retry);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (once, fingerprint) = (patient.clone(), world.fingerprint);
            tokio::spawn(async move {
                let counted = once.once_in_tx(&fresh(), &fingerprint, count).await;
                counted.map(|counted| counted.value).map_err(|error| {
                    assert!(
                        Transactional::is_conflict(&error) && is_transient(&error),
                        "{error:?}"
                    );
                    error.to_string()
                })
            })
        })
        .collect();
    let mut counted = Vec::new();
    for task in tasks {
        counted.push(task.await.unwrap());
    }
    counted
}

fn fresh() -> RecordKey {
    Scope::global().key(&IdempotencyKey::random())
}

async fn g7_work_that_conflicts_runs_again_until_it_commits(world: World) {
    let counted = all_at_once(&world, true).await;
    assert!(counted.iter().all(Result::is_ok), "{counted:?}");
    let n = world.sql("SELECT CONCAT(n, '') FROM counter").await;
    assert_eq!(n, [Some(TASKS.to_string())]);
}

async fn g7_a_conflict_is_the_callers_where_that_was_asked_for(world: World) {
    let counted = all_at_once(&world, false).await;
    let done = counted.iter().filter(|counted| counted.is_ok()).count();
    let n = world.sql("SELECT CONCAT(n, '') FROM counter").await;
    assert_eq!(n, [Some(done.to_string())], "what failed was rolled back");
}

async fn g7_an_error_of_the_work_itself_does_not_run_it_again(world: World) {
    let runs = AtomicU32::new(0);
    let failed = world
        .transactional
        .once_in_tx(&world.key, &world.fingerprint, async |_| {
            runs.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Told("declined"))
        })
        .await;
    assert!(!Transactional::is_conflict(&failed.unwrap_err()));
    assert_eq!(runs.into_inner(), 1);
}
