//! One Postgres server: it serves, keeps what was committed over a kill, and stands still.

use std::{thread, time::Duration};

use idem_testbed::{Durability, Postgres, TestbedError, postgres::SqlClient, skip_or_fail};

fn value(postgres: &Postgres, sql: &str) -> String {
    let rows = postgres.sql(sql).expect("the statement is right");
    rows[0][0].clone().expect("the query selects no NULL")
}

#[tokio::test]
async fn a_server_has_what_was_committed_after_a_kill() {
    for durability in [Durability::Fast, Durability::Flushed] {
        let builder = Postgres::builder().durability(durability);
        let Some(postgres) = skip_or_fail(builder.start().await) else {
            return;
        };
        postgres.sql("CREATE TABLE t (n int)").unwrap();
        for round in 1..=3 {
            postgres.sql("INSERT INTO t VALUES (1)").unwrap();
            let mut open = SqlClient::connect(postgres.address(), "postgres").unwrap();
            open.query("BEGIN; INSERT INTO t VALUES (2)").unwrap();

            postgres.kill();
            assert!(
                open.query("COMMIT").is_err(),
                "no backend outlives the server"
            );
            postgres.restart().await.unwrap();
            assert_eq!(
                value(&postgres, "SELECT count(*) FROM t"),
                round.to_string()
            );
        }
    }
}

#[tokio::test]
async fn the_durability_asked_for_is_the_one_in_force() {
    let Some(fast) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    assert_eq!(value(&fast, "SHOW fsync"), "off");
    let flushed = Postgres::builder()
        .durability(Durability::Flushed)
        .start()
        .await
        .unwrap();
    assert_eq!(value(&flushed, "SHOW fsync"), "on");
    assert_eq!(value(&flushed, "SHOW synchronous_commit"), "on");
}

#[tokio::test]
async fn settings_are_taken_whatever_they_hold() {
    let builder = Postgres::builder()
        .setting("default_transaction_isolation", "serializable")
        .setting("cluster_name", "it's here");
    let Some(postgres) = skip_or_fail(builder.start().await) else {
        return;
    };
    assert_eq!(
        value(&postgres, "SHOW default_transaction_isolation"),
        "serializable"
    );
    assert_eq!(value(&postgres, "SHOW cluster_name"), "it's here");
}

#[tokio::test]
async fn a_paused_server_keeps_connections_and_answers_when_resumed() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    postgres.sql("CREATE TABLE t (n int)").unwrap();
    let mut client = SqlClient::connect(postgres.address(), "postgres").unwrap();

    postgres.pause();
    assert!(postgres.is_running());
    let waiting = thread::spawn(move || client.query("INSERT INTO t VALUES (1)"));
    let patience = Duration::from_millis(200);
    let refused = SqlClient::connect_within(postgres.address(), "postgres", patience);
    assert!(refused.is_err(), "a server that stands still greets nobody");
    assert!(!waiting.is_finished());

    postgres.resume();
    waiting.join().unwrap().unwrap();
    assert_eq!(value(&postgres, "SELECT count(*) FROM t"), "1");
}

#[tokio::test]
async fn a_refused_setting_is_told_with_the_words_of_the_server() {
    if skip_or_fail(idem_testbed::postgres::PostgresPrograms::find()).is_none() {
        return;
    }
    let failure = Postgres::builder()
        .setting("no_such_setting", "1")
        .start()
        .await
        .unwrap_err();
    let TestbedError::Start { log, .. } = &failure else {
        panic!("{failure}");
    };
    assert!(log.contains("no_such_setting"), "{failure}");
}

#[tokio::test]
async fn an_error_of_a_statement_carries_its_sqlstate() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let refused = postgres.sql("SELECT 1/0").unwrap_err();
    assert!(refused.to_string().contains("22012"), "{refused}");
}

#[test]
fn a_server_starts_without_a_runtime() {
    let Some(postgres) = skip_or_fail(Postgres::start_blocking()) else {
        return;
    };
    postgres.kill();
    postgres.restart_blocking().unwrap();
    assert_eq!(value(&postgres, "SELECT 1"), "1");
}
