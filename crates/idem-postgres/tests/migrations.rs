//! Making the tables: many at once, by hand, in a schema of the user's choice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use idem_core::{IdempotencyKey, Scope, Store, StoreErrorKind};
use idem_postgres::{PostgresConfig, PostgresStore};
use idem_testbed::{Postgres, skip_or_fail};

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
    assert_eq!(tables(&postgres), ["migrations", "records"]);
    let versions = postgres.sql("SELECT version FROM idem.migrations").unwrap();
    assert_eq!(versions, [[Some("1".to_owned())]]);
}

#[tokio::test]
async fn the_printed_sql_does_what_migrate_does_and_can_be_applied_again() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    for _ in 0..2 {
        postgres.sql(&store.migration_sql()).unwrap();
        assert_eq!(tables(&postgres), ["migrations", "records"]);
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
