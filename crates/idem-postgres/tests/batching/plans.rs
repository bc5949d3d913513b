//! What the server makes of the statements.

use std::{num::NonZeroUsize, time::Duration};

use idem_core::store::Created;
use idem_postgres::PostgresConfig;
use idem_testbed::{Postgres, PostgresBuilder};

use crate::world::{World, all, claim, complete, create, key, keys};

const UPDATES: &str =
    "SELECT n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";
const HOT: &str = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";
const SEQUENTIAL: &str =
    "SELECT seq_scan FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";
const BY_INDEX: &str =
    "SELECT idx_scan FROM pg_stat_user_tables WHERE schemaname = 'idem' AND relname = 'records'";

const READ: &str = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = 'idem' AND relname = 'records'";

/// What came since the server has looked at the table.
const MANY_ROWS: &str = "INSERT INTO idem.records (scope, key, status, attempt, token, revision, \
     fingerprint, created_at, updated_at, expires_at) \
     SELECT 'many', n::text, 'retryable', 1, '', 1, '', now(), now(), now() + interval '1 day' \
     FROM generate_series(1, 10000) AS n";

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
    let Some(world) = World::over(keeping_plans(), PostgresConfig::default()).await else {
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

/// An index of an empty table is read whole as cheaply as anywhere; a plan that does so is kept while
/// the table grows.
#[tokio::test]
async fn plans_for_an_empty_table_are_good_for_a_full_one() {
    let Some(world) = World::over(keeping_plans(), PostgresConfig::default()).await else {
        return;
    };
    world.server.sql("VACUUM ANALYZE idem.records").unwrap();
    claim_and_complete(&world, 0, true).await;
    claim_and_complete(&world, 1, false).await;
    world.server.sql(MANY_ROWS).unwrap();
    let looks = counted(&world, BY_INDEX, 400).await;
    let (read, sequential) = (world.number(READ), world.number(SEQUENTIAL));
    claim_and_complete(&world, 2, true).await;
    claim_and_complete(&world, 3, false).await;
    counted(&world, BY_INDEX, looks + 400).await;
    let read = world.number(READ) - read;
    assert!(read < 10_000, "{read} rows were read to find 400");
    assert_eq!(world.number(SEQUENTIAL), sequential);
}

/// A server that sees how many calls a statement is for may find a plan of its own for a few of them
/// worth its making, every time, which takes longer than the calls do.
#[tokio::test]
async fn a_few_calls_are_not_planned_anew_each_time() {
    const TRIALS: u64 = 5;
    // What a session has prepared is told to itself alone, so it notes that.
    const NOTE: &str = "CREATE TABLE plans (made bigint, kept bigint); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         DELETE FROM plans; INSERT INTO plans SELECT custom_plans, generic_plans \
         FROM pg_prepared_statements WHERE statement LIKE 'WITH%unnest%'; RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER INSERT ON idem.records \
         FOR EACH STATEMENT EXECUTE FUNCTION note()";
    let Some(world) = World::open().await else {
        return;
    };
    world.server.sql(MANY_ROWS).unwrap();
    world.server.sql("VACUUM ANALYZE idem.records").unwrap();
    world.server.sql(NOTE).unwrap();
    let config = PostgresConfig::default().lanes(NonZeroUsize::MIN);
    let store = world.elsewhere_with(config).await;
    for round in 0..10 {
        let keys = (0..4).map(|n| key(&format!("{round}-{n}")));
        let creates = keys.map(|key| create(store.clone(), key, claim(1)));
        for created in all(world.at_once(creates.collect()).await).await {
            assert!(matches!(created, Ok(Created::New)));
        }
    }
    let made = world.number("SELECT made FROM plans");
    let kept = world.number("SELECT kept FROM plans");
    assert!(
        made <= TRIALS && kept > 0,
        "{made} plans were made, and {kept} times one was kept"
    );
}

fn keeping_plans() -> PostgresBuilder {
    Postgres::builder().setting("plan_cache_mode", "force_generic_plan")
}
