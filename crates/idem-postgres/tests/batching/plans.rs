//! What the server makes of the statements.

use std::time::Duration;

use idem_core::Created;
use idem_postgres::PostgresConfig;
use idem_testbed::Postgres;

use crate::world::{World, all, claim, complete, create, keys};

const UPDATES: &str =
    "SELECT n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";
const HOT: &str = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";
const SEQUENTIAL: &str =
    "SELECT seq_scan FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";
const BY_INDEX: &str =
    "SELECT idx_scan FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";

/// Claims and completes so many keys of a round, one by one or together.
async fn claim_and_complete(world: &World, round: usize, together: bool) {
    let keys: Vec<_> = keys(200)
        .into_iter()
        .map(|key| crate::world::key(&format!("{round}-{}", key.key())))
        .collect();
    if together {
        let creates = keys
            .iter()
            .map(|key| create(world.store.clone(), key.clone(), claim(1)));
        let created = all(world.at_once(creates.collect()).await).await;
        assert!(
            created
                .iter()
                .all(|answer| matches!(answer, Ok(Created::New)))
        );
        let updates = keys
            .iter()
            .map(|key| complete(world.store.clone(), key.clone(), claim(1)));
        all(world.at_once(updates.collect()).await).await;
    } else {
        for key in keys {
            create(world.store.clone(), key.clone(), claim(1))
                .await
                .unwrap();
            complete(world.store.clone(), key, claim(1)).await.unwrap();
        }
    }
}

/// The server's counters come a moment later.
async fn counted(world: &World, sql: &str, at_least: u64) -> u64 {
    loop {
        let count = world.number(sql);
        if count >= at_least {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn completions_are_hot_updates() {
    let Some(world) = World::open().await else {
        return;
    };
    for round in 0..10 {
        claim_and_complete(&world, round, round % 2 == 0).await;
    }
    let updates = counted(&world, UPDATES, 2000).await;
    let hot = world.number(HOT);
    println!("{hot} of {updates} updates were HOT");
    assert!(
        hot * 100 >= updates * 95,
        "{hot} of {updates} updates were HOT"
    );
}

/// However small the table is, and whatever the server has seen of it. A plan that is made for one
/// call is made for the table as it is; the one that is kept has to be good for what the table
/// becomes.
#[tokio::test]
async fn rows_are_found_by_their_key() {
    let server = Postgres::builder().setting("plan_cache_mode", "force_generic_plan");
    let Some(world) = World::over(server, PostgresConfig::default()).await else {
        return;
    };
    for (round, sql) in [
        "SELECT 1",
        "VACUUM ANALYZE idem.records",
        "VACUUM idem.records",
    ]
    .into_iter()
    .enumerate()
    {
        world.server.sql(sql).unwrap();
        // The counters begin anew, without what making the table took.
        world.server.kill();
        world.server.restart().await.unwrap();
        claim_and_complete(&world, 2 * round, true).await;
        claim_and_complete(&world, 2 * round + 1, false).await;
        counted(&world, BY_INDEX, 400).await;
        assert_eq!(world.number(SEQUENTIAL), 0, "after {sql}");
    }
}
