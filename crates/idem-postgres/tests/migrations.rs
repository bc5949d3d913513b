//! Making the tables: many at once, by hand, in a schema of the user's choice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, sync::Arc};

use idem_core::{
    IdempotencyKey, Scope,
    store::{Store, StoreErrorKind},
};
use idem_postgres::{PostgresConfig, PostgresStore};
use idem_testbed::{Postgres, skip_or_fail};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgPoolOptions};
use tokio::sync::Barrier;

const MIGRATORS: usize = 10;

/// How many schemas are made: `IDEM_MIGRATION_ROUNDS` for a long run.
fn rounds() -> usize {
    let rounds = env::var("IDEM_MIGRATION_ROUNDS").ok();
    rounds.map_or(30, |rounds| rounds.parse().unwrap())
}

const TABLES: &str = "SELECT table_name FROM information_schema.tables \
    WHERE table_schema = 'idem' ORDER BY table_name";

fn tables(postgres: &Postgres) -> Vec<String> {
    let rows = postgres.sql(TABLES).unwrap();
    rows.into_iter().flatten().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_migrators_at_once_make_the_tables_once() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let mut migrators = Vec::new();
    for _ in 0..10 {
        let store = PostgresStore::connect(&postgres.url()).await.unwrap();
        migrators.push(tokio::spawn(async move { store.migrate().await }));
    }
    for migrator in migrators {
        migrator.await.unwrap().unwrap();
    }
    assert_eq!(tables(&postgres), ["migrations", "records", "sweeper"]);
    let versions = postgres.sql("SELECT version FROM idem.migrations").unwrap();
    assert_eq!(versions, [[Some("1".to_owned())]]);
}

/// Whether somebody waits for the lock of the migrators.
const WAITS: &str = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";

#[tokio::test]
async fn a_migrator_that_waited_sees_what_it_waited_for() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&postgres.url()).await.unwrap();
    // From here on the session has no reason to look at the catalogue when it makes a schema.
    let other = PostgresConfig::default().schema("other").unwrap();
    let other = PostgresStore::with_config(pool.clone(), other);
    other.migrate().await.unwrap();
    let store = PostgresStore::new(pool);
    let printed = store.migration_sql();
    let uncommitted = printed.trim_end().strip_suffix("COMMIT;").unwrap();
    let mut first = PgConnection::connect(&postgres.url()).await.unwrap();
    let uncommitted = sqlx::raw_sql(AssertSqlSafe(uncommitted));
    uncommitted.execute(&mut first).await.unwrap();

    let second = tokio::spawn(async move { store.migrate().await });
    while postgres.sql(WAITS).unwrap() != [[Some("t".to_owned())]] {
        assert!(!second.is_finished(), "it did not wait: {second:?}");
        tokio::task::yield_now().await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut first).await.unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(tables(&postgres), ["migrations", "records", "sweeper"]);
}

#[tokio::test]
async fn a_schema_that_is_there_needs_no_right_to_make_schemas() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    postgres
        .sql("CREATE ROLE app LOGIN; CREATE SCHEMA idem AUTHORIZATION app")
        .unwrap();
    let url = postgres.url().replace("postgres@", "app@");
    let app = PostgresStore::connect(&url).await.unwrap();
    app.migrate().await.unwrap();
    assert_eq!(tables(&postgres), ["migrations", "records", "sweeper"]);
}

/// What one session believes about a schema is older than what another has just committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_migrators_at_once_make_each_of_many_schemas() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let schemas = rounds();
    let start = Arc::new(Barrier::new(MIGRATORS));
    let mut migrators = Vec::new();
    for _ in 0..MIGRATORS {
        let pool = PgPoolOptions::new().max_connections(1);
        let pool = pool.connect(&postgres.url()).await.unwrap();
        let start = Arc::clone(&start);
        migrators.push(tokio::spawn(async move {
            for schema in 0..schemas {
                let config = PostgresConfig::default()
                    .schema(format!("s{schema}"))
                    .unwrap();
                let store = PostgresStore::with_config(pool.clone(), config);
                start.wait().await;
                store.migrate().await.unwrap();
            }
        }));
    }
    for migrator in migrators {
        migrator.await.unwrap();
    }
    let made = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'records'";
    assert_eq!(postgres.sql(made).unwrap(), [[Some(schemas.to_string())]]);
}

#[tokio::test]
async fn the_printed_sql_does_what_migrate_does_and_can_be_applied_again() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    for _ in 0..2 {
        postgres.sql(&store.migration_sql()).unwrap();
        assert_eq!(tables(&postgres), ["migrations", "records", "sweeper"]);
    }
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn tables_that_are_up_to_date_need_no_right_to_make_any() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let owner = PostgresStore::connect(&postgres.url()).await.unwrap();
    owner.migrate().await.unwrap();
    postgres
        .sql(
            "CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA idem TO app; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA idem TO app",
        )
        .unwrap();
    let url = postgres.url().replace("postgres@", "app@");
    let app = PostgresStore::connect(&url).await.unwrap();
    app.migrate().await.unwrap();

    let key = Scope::global().key(&IdempotencyKey::random());
    assert_eq!(app.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn s9_missing_tables_are_a_matter_of_configuration() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    let key = Scope::global().key(&IdempotencyKey::random());
    let error = store.get(&key).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("migrate()"), "{error}");
}

#[tokio::test]
async fn tables_of_a_newer_release_are_left_alone() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    store.migrate().await.unwrap();
    postgres
        .sql("INSERT INTO idem.migrations (version) VALUES (1000)")
        .unwrap();
    let error = store.migrate().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
}

/// S7: a release that does not know the tables writes nothing to them, transactions included.
#[tokio::test]
async fn s7_an_older_release_claims_nothing_in_tables_of_a_newer_one() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let owner = PostgresStore::connect(&postgres.url()).await.unwrap();
    owner.migrate().await.unwrap();
    postgres
        .sql("INSERT INTO idem.migrations (version) VALUES (1000)")
        .unwrap();
    let older = PostgresStore::connect(&postgres.url()).await.unwrap();
    let key = Scope::global().key(&IdempotencyKey::random());
    let error = older.get(&key).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("upgrade"), "{error}");

    let idem = idem_core::Idempotency::builder(older.clone())
        .build()
        .unwrap();
    let request = idem_core::Fingerprint::of("tests", b"request");
    let once = older.transactional(&idem);
    let work = async |_: &mut PgConnection| Ok::<_, sqlx::Error>(());
    let refused = once.once_in_tx(&key, &request, work).await;
    assert!(refused.unwrap_err().to_string().contains("upgrade"));
    let rows = postgres.sql("SELECT count(*) FROM idem.records").unwrap();
    assert_eq!(rows, [[Some("0".to_owned())]]);
}

#[tokio::test]
async fn s8_two_schemas_share_nothing_whatever_their_names_hold() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    for name in ["plain", "Two Words", "o'dd\"\\"] {
        let config = PostgresConfig::default().schema(name).unwrap();
        let store = PostgresStore::connect_with(&postgres.url(), config)
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let key = Scope::global().key(&IdempotencyKey::random());
        assert_eq!(store.get(&key).await.unwrap(), None);
    }
    assert_eq!(tables(&postgres), Vec::<String>::new());
}
