//! MariaDB.

use idem_testbed::{Durability, MariaDb, MariaDbBuilder, skip_or_fail};

use super::{finds, is_mended};
use crate::idem::Idem;

async fn with_tables(builder: MariaDbBuilder) -> Option<(MariaDb, Idem)> {
    let mariadb = skip_or_fail(builder.start().await)?;
    mariadb.sql("CREATE DATABASE shop").unwrap();
    let idem = Idem::at(mariadb.url_of("shop"));
    finds(&idem, "", "migrations-pending");
    idem.run("migrate").expect(0);
    Some((mariadb, idem))
}

#[tokio::test]
async fn what_mariadb_is_set_to_is_found_and_mended() {
    let builder = MariaDb::builder()
        .durability(Durability::Flushed)
        .setting("log-bin", "log")
        .setting("sync-binlog", "1")
        .setting("server-id", "1");
    let Some((mariadb, idem)) = with_tables(builder).await else {
        return;
    };
    idem.run("doctor").expect(0);
    for (name, bad, good, code) in [
        (
            "innodb_flush_log_at_trx_commit",
            "0",
            "1",
            "mysql-flush-log",
        ),
        (
            "innodb_flush_log_at_trx_commit",
            "2",
            "1",
            "mysql-flush-log",
        ),
        (
            "binlog_format",
            "'STATEMENT'",
            "'ROW'",
            "mysql-binlog-statement",
        ),
        ("sync_binlog", "0", "1", "mysql-sync-binlog"),
        (
            "max_allowed_packet",
            "1048576",
            "67108864",
            "mysql-small-packet",
        ),
        ("read_only", "ON", "OFF", "mysql-read-only"),
        ("sql_mode", "''", "'STRICT_TRANS_TABLES'", "mysql-sql-mode"),
    ] {
        mariadb.sql(&format!("SET GLOBAL {name} = {bad}")).unwrap();
        finds(&idem, "", code);
        mariadb.sql(&format!("SET GLOBAL {name} = {good}")).unwrap();
        is_mended(&idem, "", code);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_tables_is_found_and_mended() {
    let Some((mariadb, idem)) = with_tables(MariaDb::builder()).await else {
        return;
    };
    let sql = |text: &str| drop(mariadb.sql(text).unwrap());
    sql("ALTER TABLE shop.idem_records ENGINE = Aria");
    finds(&idem, "", "mysql-engine");
    sql("ALTER TABLE shop.idem_records ENGINE = InnoDB");
    is_mended(&idem, "", "mysql-engine");
    sql("ALTER TABLE shop.idem_records DROP PRIMARY KEY");
    finds(&idem, "", "mysql-no-index");
    sql("ALTER TABLE shop.idem_records ADD PRIMARY KEY (`key`, scope)");
    is_mended(&idem, "", "mysql-no-index");

    sql("CREATE USER app@localhost; CREATE USER app@'127.0.0.1'; \
         GRANT SELECT, INSERT ON shop.* TO app@localhost; \
         GRANT SELECT, INSERT ON shop.* TO app@'127.0.0.1'");
    let app = Idem::at(mariadb.url_of("shop").replace("root@", "app@"));
    finds(&app, "", "mysql-privileges");
    sql("GRANT UPDATE, DELETE ON shop.* TO app@localhost; \
         GRANT UPDATE, DELETE ON shop.* TO app@'127.0.0.1'");
    is_mended(&app, "", "mysql-privileges");

    sql(
        "INSERT INTO shop.idem_records SELECT seq, 's', REPEAT('x', 24), 0, 1, 1, 'completed', '' \
         FROM shop.seq_1_to_1500",
    );
    finds(&idem, "", "sweep-lag");
    idem.run("sweep").expect(0);
    is_mended(&idem, "", "sweep-lag");
}

/// The store refuses such a server; the doctor says why, and the mend is a restart without it.
#[tokio::test]
async fn a_clock_that_stands_still_is_found() {
    let builder = MariaDb::builder().setting("sysdate-is-now", "1");
    let Some(mariadb) = skip_or_fail(builder.start().await) else {
        return;
    };
    mariadb.sql("CREATE DATABASE shop").unwrap();
    let idem = Idem::at(mariadb.url_of("shop"));
    idem.run("list").expect(1);
    finds(&idem, "", "mysql-sysdate-is-now");
}
