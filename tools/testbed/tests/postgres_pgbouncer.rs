//! PgBouncer in transaction mode: its clients share connections, and it dies and comes back.

use idem_testbed::{
    Fault, FaultyProxy, PgBouncer, Postgres, TestbedError,
    postgres::{Row, SqlClient, SqlError},
    skip_or_fail,
};

async fn started() -> Option<(Postgres, PgBouncer)> {
    let postgres = skip_or_fail(Postgres::start().await)?;
    let bouncer = skip_or_fail(PgBouncer::start(postgres.address()).await)?;
    Some((postgres, bouncer))
}

fn query(bouncer: &PgBouncer, sql: &str) -> Result<Vec<Row>, SqlError> {
    SqlClient::connect(bouncer.address(), "postgres")?.query(sql)
}

#[tokio::test]
async fn clients_share_connections_by_transaction() {
    let Some((_postgres, bouncer)) = started().await else {
        return;
    };
    let mut clients: Vec<SqlClient> = (0..50)
        .map(|_| SqlClient::connect(bouncer.address(), "postgres").unwrap())
        .collect();
    let mut backends: Vec<Row> = clients
        .iter_mut()
        .flat_map(|client| client.query("SELECT pg_backend_pid()").unwrap())
        .collect();
    backends.dedup();
    assert_eq!(backends.len(), 1, "one after the other they need but one");
}

#[tokio::test]
async fn a_killed_bouncer_comes_back() {
    let Some((postgres, bouncer)) = started().await else {
        return;
    };
    query(&bouncer, "CREATE TABLE t (n int)").unwrap();
    bouncer.kill();
    assert!(query(&bouncer, "SELECT 1").is_err());
    bouncer.restart().await.unwrap();
    query(&bouncer, "INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(
        postgres.sql("SELECT n FROM t").unwrap(),
        [[Some("1".to_owned())]]
    );
}

#[tokio::test]
async fn it_finds_a_server_again_that_was_killed() {
    let Some((postgres, bouncer)) = started().await else {
        return;
    };
    query(&bouncer, "SELECT 1").unwrap();
    postgres.kill();
    postgres.restart().await.unwrap();
    // The connection that it kept is dead, and whoever is given it is told so.
    while query(&bouncer, "SELECT 1").is_err() {}
}

#[tokio::test]
async fn a_proxy_fits_on_either_side() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    postgres.sql("CREATE TABLE t (n int)").unwrap();
    let behind = FaultyProxy::start(postgres.address()).unwrap();
    let Some(bouncer) = skip_or_fail(PgBouncer::start(behind.address()).await) else {
        return;
    };
    let before = FaultyProxy::start(bouncer.address()).unwrap();
    for proxy in [&before, &behind] {
        proxy.arm(Fault::LoseReply.once().command("INSERT"));
        let mut client = SqlClient::connect(before.address(), "postgres").unwrap();
        assert!(client.query("INSERT INTO t VALUES (1)").is_err());
    }
    assert_eq!(
        (before.counts().lost_replies, behind.counts().lost_replies),
        (1, 1)
    );
    let rows = postgres.sql("SELECT count(*) FROM t").unwrap();
    assert_eq!(rows, [[Some("2".to_owned())]]);
}

#[tokio::test]
async fn settings_are_taken_and_refused() {
    let Some(postgres) = skip_or_fail(Postgres::start().await) else {
        return;
    };
    let session = PgBouncer::builder().setting("pool_mode", "session");
    let Some(bouncer) = skip_or_fail(session.start(postgres.address()).await) else {
        return;
    };
    let mut console = SqlClient::connect(bouncer.address(), "pgbouncer").unwrap();
    let settings = console.query("SHOW CONFIG").unwrap();
    let mode = settings
        .iter()
        .find(|row| row[0].as_deref() == Some("pool_mode"))
        .unwrap();
    assert_eq!(mode[1].as_deref(), Some("session"));

    let wrong = PgBouncer::builder().setting("pool_mode", "no such mode");
    let failure = wrong.start(postgres.address()).await.unwrap_err();
    assert!(matches!(failure, TestbedError::Start { .. }), "{failure}");
}
