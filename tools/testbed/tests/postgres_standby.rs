//! A standby follows its primary and is promoted over what was committed.

use std::time::Duration;

use idem_testbed::{
    Postgres, Replication,
    postgres::{SqlClient, SqlError},
    skip_or_fail,
};

fn value(postgres: &Postgres, sql: &str) -> String {
    let rows = postgres.sql(sql).expect("the statement is right");
    rows[0][0].clone().expect("the query selects no NULL")
}

async fn pair(replication: Replication) -> Option<(Postgres, Postgres)> {
    let primary = skip_or_fail(Postgres::start().await)?;
    primary
        .sql("CREATE TABLE t (n int)")
        .expect("the statement is right");
    let standby = primary.add_standby(replication).await.expect("it starts");
    Some((primary, standby))
}

#[tokio::test]
async fn a_promoted_synchronous_standby_has_every_acknowledged_commit() {
    let Some((primary, standby)) = pair(Replication::Synchronous).await else {
        return;
    };
    let mut client = SqlClient::connect(primary.address(), "postgres").unwrap();
    for n in 0..500 {
        client
            .query(&format!("INSERT INTO t VALUES ({n})"))
            .unwrap();
    }
    primary.kill();
    standby.promote().await.unwrap();
    assert_eq!(value(&standby, "SELECT count(*) FROM t"), "500");
    standby.sql("INSERT INTO t VALUES (500)").unwrap();
}

#[tokio::test]
async fn a_promoted_standby_takes_a_standby_of_its_own() {
    let Some((first, second)) = pair(Replication::Synchronous).await else {
        return;
    };
    first.kill();
    second.promote().await.unwrap();
    let third = second.add_standby(Replication::Synchronous).await.unwrap();
    second.sql("INSERT INTO t VALUES (1)").unwrap();
    second.kill();
    third.promote().await.unwrap();
    assert_eq!(value(&third, "SELECT count(*) FROM t"), "1");
}

#[tokio::test]
async fn an_asynchronous_standby_reads_and_does_not_hold_up_the_primary() {
    let Some((primary, standby)) = pair(Replication::Asynchronous).await else {
        return;
    };
    assert!(
        standby.sql("INSERT INTO t VALUES (1)").is_err(),
        "it only reads"
    );
    standby.pause();
    primary.sql("INSERT INTO t VALUES (1)").unwrap();
    standby.resume();
    let written = value(&primary, "SELECT pg_current_wal_lsn()");
    let behind = format!("SELECT pg_last_wal_replay_lsn() < '{written}'");
    while value(&standby, &behind) == "t" {}
    assert_eq!(value(&standby, "SELECT count(*) FROM t"), "1");
}

#[tokio::test]
async fn a_commit_waits_for_a_synchronous_standby_that_stands_still() {
    let Some((primary, standby)) = pair(Replication::Synchronous).await else {
        return;
    };
    standby.pause();
    let mut client = SqlClient::connect(primary.address(), "postgres").unwrap();
    client.set_patience(Duration::from_millis(300)).unwrap();
    let hangs = client.query("INSERT INTO t VALUES (1)");
    assert!(matches!(hangs, Err(SqlError::Connection(_))), "{hangs:?}");
    standby.resume();
    primary.sql("INSERT INTO t VALUES (2)").unwrap();
    // The first row shows once its session, whose client is gone, has noticed that it may go on.
    while value(&primary, "SELECT count(*) FROM t") != "2" {}
}

#[tokio::test]
async fn a_killed_primary_that_comes_back_is_followed_again() {
    let Some((primary, standby)) = pair(Replication::Synchronous).await else {
        return;
    };
    primary.kill();
    primary.restart().await.unwrap();
    primary.sql("INSERT INTO t VALUES (1)").unwrap();
    primary.kill();
    standby.promote().await.unwrap();
    assert_eq!(value(&standby, "SELECT count(*) FROM t"), "1");
}
