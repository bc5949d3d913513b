//! PostgreSQL.

use idem_postgres::PostgresStore;
use idem_testbed::{Durability, PgBouncer, Postgres, skip_or_fail};

use super::{finds, is_mended};
use crate::{idem::Idem, planted};

/// Where nothing is found, warnings included.
async fn sound() -> Option<(Postgres, Idem)> {
    let builder = Postgres::builder().durability(Durability::Flushed);
    let builder = builder
        .setting("fsync", "on")
        .setting("full_page_writes", "on")
        .setting("synchronous_commit", "on");
    let postgres = skip_or_fail(builder.start().await)?;
    let idem = Idem::at(postgres.url());
    finds(&idem, "", "migrations-pending");
    idem.run("migrate").expect(0);
    idem.run("doctor").expect(0);
    Some((postgres, idem))
}

fn set(postgres: &Postgres, name: &str, value: &str) {
    postgres
        .sql(&format!("ALTER SYSTEM SET {name} = '{value}'"))
        .unwrap();
    postgres.sql("SELECT pg_reload_conf()").unwrap();
}

/// The server takes up a new setting a moment after it is told to.
async fn taken_up(postgres: &Postgres, name: &str, value: &str) {
    for _ in 0..500 {
        if postgres.sql(&format!("SHOW {name}")).unwrap() == [[Some(value.to_owned())]] {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{name} is not {value}");
}

#[tokio::test]
async fn what_postgres_is_set_to_is_found_and_mended() {
    let Some((postgres, idem)) = sound().await else {
        return;
    };
    for (name, bad, good, code) in [
        (
            "synchronous_commit",
            "off",
            "on",
            "postgres-synchronous-commit",
        ),
        ("fsync", "off", "on", "postgres-fsync"),
        ("full_page_writes", "off", "on", "postgres-full-page-writes"),
        (
            "statement_timeout",
            "50ms",
            "5s",
            "postgres-statement-timeout",
        ),
        ("autovacuum", "off", "on", "postgres-autovacuum"),
        (
            "default_transaction_read_only",
            "on",
            "off",
            "postgres-read-only",
        ),
    ] {
        set(&postgres, name, bad);
        taken_up(&postgres, name, bad).await;
        finds(&idem, "", code);
        set(&postgres, name, good);
        taken_up(&postgres, name, good).await;
        is_mended(&idem, "", code);
    }
    finds(&idem, "--survives failover", "postgres-no-sync-standby");
    finds(&idem, "--connections 100000", "connections-planned");
    is_mended(&idem, "--connections 5", "connections-planned");
}

#[tokio::test]
async fn what_is_wrong_with_the_tables_is_found_and_mended() {
    let Some((postgres, idem)) = sound().await else {
        return;
    };
    let sql = |text: &str| drop(postgres.sql(text).unwrap());
    sql("ALTER TABLE idem.records SET UNLOGGED");
    finds(&idem, "", "postgres-unlogged");
    sql("ALTER TABLE idem.records SET LOGGED");
    is_mended(&idem, "", "postgres-unlogged");

    sql("ALTER TABLE idem.records DROP CONSTRAINT records_pkey");
    finds(&idem, "", "postgres-no-index");
    sql("ALTER TABLE idem.records ADD PRIMARY KEY (key, scope)");
    is_mended(&idem, "", "postgres-no-index");

    sql("INSERT INTO idem.migrations (version) VALUES (99)");
    finds(&idem, "", "migrations-newer");
    idem.run("migrate").expect(1);
    sql("DELETE FROM idem.migrations WHERE version = 99");
    is_mended(&idem, "", "migrations-newer");

    sql(
        "INSERT INTO idem.records (created_at, updated_at, expires_at, attempt, revision, token, \
         fingerprint, status, scope, key, payload) SELECT now(), now(), now() - interval '1 hour', \
         1, 1, decode(repeat('07', 16), 'hex'), decode(repeat('07', 32), 'hex'), 'completed', 's', \
         n::text, '' FROM generate_series(1, 1500) AS n",
    );
    finds(&idem, "", "sweep-lag");
    idem.run("sweep").expect(0);
    is_mended(&idem, "", "sweep-lag");

    sql("ALTER TABLE idem.records SET (autovacuum_enabled = false)");
    finds(&idem, "", "postgres-autovacuum");
    sql(
        "INSERT INTO idem.records (created_at, updated_at, expires_at, attempt, revision, token, \
         fingerprint, status, scope, key) SELECT now(), now(), now(), 1, 1, '', '', 'released', 's', \
         n::text FROM generate_series(1, 25000) AS n",
    );
    sql("DELETE FROM idem.records");
    finds(&idem, "", "postgres-bloat");
    sql("ALTER TABLE idem.records RESET (autovacuum_enabled)");
    is_mended(&idem, "", "postgres-autovacuum");
    sql("VACUUM idem.records");
    is_mended(&idem, "", "postgres-bloat");
}

#[tokio::test]
async fn a_role_without_rights_is_found() {
    let Some((postgres, _)) = sound().await else {
        return;
    };
    postgres.sql("CREATE ROLE app LOGIN").unwrap();
    let url = postgres.url().replace("postgres@", "app@");
    let idem = Idem::at(&*url);
    finds(&idem, "", "postgres-privileges");
    let grants = "GRANT USAGE ON SCHEMA idem TO app; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON idem.records, idem.sweeper TO app";
    postgres.sql(grants).unwrap();
    finds(&idem, "", "postgres-privileges");
    postgres
        .sql("GRANT SELECT ON idem.migrations TO app")
        .unwrap();
    is_mended(&idem, "", "postgres-privileges");
    idem.run("list").expect(0);
}

/// A pooler hands each transaction to another session.
#[tokio::test]
async fn a_pooler_may_be_in_between() {
    let Some((postgres, _)) = sound().await else {
        return;
    };
    let Some(pooler) = skip_or_fail(PgBouncer::start(postgres.address()).await) else {
        return;
    };
    let idem = Idem::at(pooler.url());
    idem.run("doctor").expect(0);
    idem.run("migrate --check").expect(0);
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    planted::every_state(&store).await;
    idem.run("list --state halted").expect(0);
    idem.with(&[
        "resolve",
        "shop:halted",
        "--run-again",
        "--reason",
        "no charge",
        "--yes",
    ])
    .expect(0);
    assert_eq!(idem.state("shop:halted"), "retryable");
}

/// Through a store of another schema: the option names it.
#[tokio::test]
async fn the_schema_can_be_another() {
    let Some((postgres, _)) = sound().await else {
        return;
    };
    let idem = Idem::at(postgres.url());
    idem.run("migrate --check --schema billing").expect(5);
    idem.run("migrate --schema billing").expect(0);
    idem.run("doctor --schema billing").expect(0);
    idem.run("list --schema billing").expect(0);
    drop(PostgresStore::connect(&postgres.url()).await.unwrap());
}
