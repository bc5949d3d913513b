//! The proxy before MariaDB.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use idem_testbed::{Fault, FaultyProxy, MariaDb, skip_or_fail};

fn ask(proxy: &FaultyProxy, sql: &str) -> bool {
    let port = format!("--port={}", proxy.port());
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--host=127.0.0.1", "--user=root", &port]);
    let output = command.args(["--execute", sql]).output().unwrap();
    output.status.success()
}

#[tokio::test]
async fn a_fault_befalls_the_statement_that_it_is_meant_for() {
    let Some(server) = skip_or_fail(MariaDb::start().await) else {
        return;
    };
    server
        .sql("CREATE DATABASE shop; CREATE TABLE shop.colours (name text)")
        .unwrap();
    let proxy = FaultyProxy::start(server.address()).unwrap();
    let fill = |colour: &str| {
        ask(
            &proxy,
            &format!("INSERT INTO shop.colours VALUES ('{colour}')"),
        )
    };
    assert!(fill("white"));

    let lost = proxy.arm(Fault::LoseReply.once().command("INSERT").containing("red"));
    assert!(fill("blue") && !fill("red") && fill("green"));
    assert_eq!(lost.hits(), 1);
    let cut = proxy.arm(Fault::CutBeforeRequest.once().containing("black"));
    assert!(!fill("black") && fill("yellow"));
    assert_eq!(cut.hits(), 1);

    let colours = server.sql("SELECT name FROM shop.colours").unwrap();
    assert_eq!(colours, "white\nblue\nred\ngreen\nyellow\n");
}
