//! The proxy before a Postgres server: it follows the protocol, and loses what it is told to.

use idem_testbed::{
    Fault, FaultyProxy, Postgres,
    postgres::{SqlClient, SqlError},
    skip_or_fail,
};

fn started() -> Option<(Postgres, FaultyProxy)> {
    let postgres = skip_or_fail(Postgres::start_blocking())?;
    postgres
        .sql("CREATE TABLE t (n int)")
        .expect("the statement is right");
    let proxy = FaultyProxy::start(postgres.address()).expect("a proxy needs a port and a thread");
    Some((postgres, proxy))
}

fn client(proxy: &FaultyProxy) -> SqlClient {
    SqlClient::connect(proxy.address(), "postgres").expect("the proxy listens")
}

fn rows(postgres: &Postgres) -> String {
    let rows = postgres.sql("SELECT count(*) FROM t");
    rows.expect("the statement is right")[0][0]
        .clone()
        .expect("a count is not NULL")
}

fn lost(outcome: &Result<Vec<Vec<Option<String>>>, SqlError>) -> bool {
    matches!(outcome, Err(SqlError::Connection(_)))
}

#[test]
fn the_reply_to_a_commit_is_lost_after_the_commit() {
    let Some((postgres, proxy)) = started() else {
        return;
    };
    let rule = proxy.arm(Fault::LoseReply.once().command("COMMIT"));
    let mut client = client(&proxy);
    client.query("BEGIN").unwrap();
    client.query("INSERT INTO t VALUES (1)").unwrap();
    assert!(lost(&client.query("COMMIT")));
    assert_eq!(rule.hits(), 1);
    assert_eq!(rows(&postgres), "1");
}

#[test]
fn a_commit_that_never_arrived_is_rolled_back() {
    let Some((postgres, proxy)) = started() else {
        return;
    };
    proxy.arm(Fault::CutBeforeRequest.once().command("COMMIT"));
    let mut client = client(&proxy);
    client.query("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    assert!(lost(&client.query("COMMIT")));
    assert_eq!(rows(&postgres), "0");
}

#[test]
fn an_error_and_many_rows_are_replies_like_any_other() {
    let Some((_postgres, proxy)) = started() else {
        return;
    };
    let mut client = client(&proxy);
    assert!(matches!(
        client.query("SELECT 1/0"),
        Err(SqlError::Server { .. })
    ));
    let many = client
        .query("SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n")
        .unwrap();
    assert_eq!(many.len(), 5000);
    proxy.arm(Fault::LoseReply.once().containing("generate_series"));
    assert!(lost(&client.query("SELECT generate_series(1, 5000)")));
}

#[tokio::test]
async fn a_hanging_commit_is_applied_when_released() {
    let Some((postgres, proxy)) = started() else {
        return;
    };
    let rule = proxy.arm(Fault::HangRequest.once().command("COMMIT"));
    let mut client = client(&proxy);
    client.query("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    let waiting = std::thread::spawn(move || client.query("COMMIT"));
    rule.wait_for_hits(1).await;
    assert_eq!(rows(&postgres), "0");
    rule.release();
    waiting.join().unwrap().unwrap();
    assert_eq!(rows(&postgres), "1");
}

#[tokio::test]
async fn a_hanging_reply_of_many_messages_is_held_once() {
    let Some((_postgres, proxy)) = started() else {
        return;
    };
    let rule = proxy.arm(Fault::HangReply.once().containing("generate_series"));
    let mut client = client(&proxy);
    let waiting = std::thread::spawn(move || client.query("SELECT generate_series(1, 100)"));
    rule.wait_for_hits(1).await;
    rule.release();
    assert_eq!(waiting.join().unwrap().unwrap().len(), 100);
    assert_eq!(rule.hits(), 1);
}
