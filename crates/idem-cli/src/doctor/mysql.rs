//! What is wrong with MySQL or MariaDB.

use idem_mysql::MySqlFacts;

use super::{Findings, room::Room};
use crate::{
    cli::{DoctorArgs, Survives},
    place::Place,
    words,
};

/// The largest answer is 8 KiB less than a packet.
const SMALL_PACKET: u64 = 4 << 20;

pub(crate) async fn findings(place: &Place, args: &DoctorArgs) -> Findings {
    let mut found = Findings::default();
    let facts = match idem_mysql::inspect(&place.url).await {
        Ok(facts) => facts,
        Err(error) => {
            found.unusable(&error);
            return found;
        }
    };
    server(&mut found, &facts);
    durability(&mut found, &facts, args.survives);
    table(&mut found, &facts);
    found.room(&Room::of_rows(facts.bytes, facts.rows, None), args);
    found.clock(facts.clock_ahead_ms);
    let allowed = number(&facts, "max_connections");
    found.connections(allowed, facts.connections, args.connections);
    found
}

fn setting<'a>(facts: &'a MySqlFacts, name: &str) -> &'a str {
    facts.settings.get(name).map_or("", String::as_str)
}

fn number(facts: &MySqlFacts, name: &str) -> u64 {
    setting(facts, name).parse().unwrap_or(0)
}

fn server(found: &mut Findings, facts: &MySqlFacts) {
    let version = setting(facts, "version");
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    let number_of = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let oldest = if version.contains("MariaDB") {
        (10, 6)
    } else {
        (8, 0)
    };
    if number_of < oldest {
        found.error(
            "mysql-version",
            format!(
                "the server's version, {version}, is older than {}.{}",
                oldest.0, oldest.1
            ),
            "upgrade the server",
        );
    } else if !version.contains("MariaDB") {
        found.note(
            "mysql-untested",
            "idem was tested with MariaDB, and not with MySQL",
            "run the conformance suite against your server before you rely on it",
        );
    }
    if !facts.sysdate_moves {
        found.error(
            "mysql-sysdate-is-now",
            "sysdate_is_now is on: SYSDATE stands still within a statement, and the store refuses \
             such a server",
            "take sysdate-is-now out of the server's options, and restart it",
        );
    }
    if setting(facts, "read_only").eq_ignore_ascii_case("on") {
        found.error(
            "mysql-read-only",
            "read_only is on: the server is a replica, or was told to take no writes",
            "name the primary; on a server of its own: SET GLOBAL read_only = OFF",
        );
    }
    let packet = number(facts, "max_allowed_packet");
    if packet < SMALL_PACKET {
        found.warning(
            "mysql-small-packet",
            format!(
                "max_allowed_packet is {}: an answer that is larger is refused, and its request ends \
                 without one",
                words::size(packet)
            ),
            "SET GLOBAL max_allowed_packet = 64 * 1024 * 1024, and the same in the server's options",
        );
    }
    if !setting(facts, "sql_mode").contains("STRICT_") {
        found.warning(
            "mysql-sql-mode",
            "sql_mode is not strict: what does not fit into a column of yours is cut off in silence",
            "SET GLOBAL sql_mode = CONCAT(@@GLOBAL.sql_mode, ',STRICT_TRANS_TABLES'), and the same in \
             the server's options",
        );
    }
}

fn durability(found: &mut Findings, facts: &MySqlFacts, survives: Survives) {
    let flush = setting(facts, "innodb_flush_log_at_trx_commit");
    // 2 writes at each commit and flushes once a second; 0 and 3 do less or more.
    let loses_by_crash = flush == "0";
    if loses_by_crash || (flush == "2" && survives >= Survives::Power) {
        let what = if loses_by_crash {
            "a crash"
        } else {
            "a power cut"
        };
        found.error(
            "mysql-flush-log",
            format!(
                "innodb_flush_log_at_trx_commit is {flush}: {what} forgets the answers of the last \
                 second, and their requests run again"
            ),
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in the server's options",
        );
    }
    if setting(facts, "innodb_doublewrite").eq_ignore_ascii_case("off")
        && survives >= Survives::Power
    {
        found.error(
            "mysql-doublewrite",
            "innodb_doublewrite is off: a power cut can leave half-written pages",
            "take innodb-doublewrite=0 out of the server's options, and restart it",
        );
    }
    let has_binlog = matches!(setting(facts, "log_bin"), "ON" | "1");
    if has_binlog && setting(facts, "binlog_format") == "STATEMENT" {
        found.error(
            "mysql-binlog-statement",
            "binlog_format is STATEMENT: a replica runs the statements by its own clock, and has \
             other records",
            "SET GLOBAL binlog_format = 'ROW', and the same in the server's options",
        );
    }
    if has_binlog && number(facts, "sync_binlog") != 1 && survives >= Survives::Power {
        found.warning(
            "mysql-sync-binlog",
            format!(
                "sync_binlog is {}: after a power cut a replica may lack answers that were given",
                setting(facts, "sync_binlog")
            ),
            "SET GLOBAL sync_binlog = 1, and the same in the server's options",
        );
    }
    if !has_binlog && survives >= Survives::Failover {
        found.error(
            "mysql-no-replication",
            "there is no binary log, so there can be no replica: what the server knows is lost with it",
            "turn log_bin on, and add a replica with semi-synchronous replication",
        );
    }
}

fn table(found: &mut Findings, facts: &MySqlFacts) {
    for missing in &facts.missing_privileges {
        found.error(
            "mysql-privileges",
            format!("this user lacks {missing}"),
            format!("GRANT {} TO …", missing.replace(" on ", " ON ")),
        );
    }
    match facts.migrations {
        Some(migrations) => found.migrations(migrations.applied, migrations.known),
        None => found.error(
            "mysql-privileges",
            "this user may not look at the table of migrations",
            "GRANT SELECT ON idem_migrations TO …",
        ),
    }
    if facts.engine.is_empty() {
        return;
    }
    if !facts.engine.eq_ignore_ascii_case("innodb") {
        found.error(
            "mysql-engine",
            format!(
                "the table's engine is {}, which has no transactions: a crash damages it, and rows \
                 do not commit together with yours",
                facts.engine
            ),
            "ALTER TABLE idem_records ENGINE = InnoDB",
        );
    }
    if !facts.has_primary_key {
        found.error(
            "mysql-no-index",
            "the primary key of the table is missing: two claims of one key can both win",
            "ALTER TABLE idem_records ADD PRIMARY KEY (`key`, scope)",
        );
    }
    found.overdue(facts.overdue_rows);
}
