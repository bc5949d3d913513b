//! What is wrong with PostgreSQL.

use std::time::Duration;

use idem_postgres::PostgresFacts;

use super::{Findings, room::Room};
use crate::{
    cli::{DoctorArgs, Survives},
    place::Place,
    words,
};

/// The oldest version that is tested.
const OLDEST: u64 = 140_000;

/// The table's own settings have it vacuumed at 5,000 dead versions and 2 % of its rows.
const MANY_DEAD_ROWS: u64 = 20_000;

pub(crate) async fn findings(place: &Place, args: &DoctorArgs) -> Findings {
    let mut found = Findings::default();
    let facts = match idem_postgres::inspect(&place.url, &place.schema).await {
        Ok(facts) => facts,
        Err(error) => {
            found.unusable(&error);
            return found;
        }
    };
    server(&mut found, &facts);
    durability(&mut found, &facts, args.survives);
    timeouts(&mut found, &facts);
    table(&mut found, &facts, &place.schema);
    let rows = facts.live_rows + facts.dead_rows;
    found.room(&Room::of_rows(facts.bytes, rows, None), args);
    found.clock(facts.clock_ahead_ms);
    let reserved = number(&facts, "superuser_reserved_connections");
    let allowed = number(&facts, "max_connections").saturating_sub(reserved);
    found.connections(allowed, facts.connections, args.connections);
    found
}

fn setting<'a>(facts: &'a PostgresFacts, name: &str) -> &'a str {
    facts.settings.get(name).map_or("", String::as_str)
}

fn number(facts: &PostgresFacts, name: &str) -> u64 {
    setting(facts, name).parse().unwrap_or(0)
}

fn server(found: &mut Findings, facts: &PostgresFacts) {
    let version = number(facts, "server_version_num");
    if version < OLDEST {
        found.error(
            "postgres-version",
            format!("PostgreSQL {} is older than 14", version / 10_000),
            "upgrade the server",
        );
    }
    if facts.in_recovery {
        found.error(
            "postgres-standby",
            "the server is a standby: it takes no writes",
            "name the primary, or both hosts with ?target_session_attrs=read-write",
        );
    } else if setting(facts, "default_transaction_read_only") == "on" {
        found.error(
            "postgres-read-only",
            "default_transaction_read_only is on: no claim can be written",
            "ALTER ROLE … RESET default_transaction_read_only, or ALTER DATABASE, or in \
             postgresql.conf: wherever it was set",
        );
    }
    let isolation = setting(facts, "default_transaction_isolation");
    if isolation != "read committed" {
        found.note(
            "postgres-isolation",
            format!(
                "transactions are `{isolation}` by default; the store's own statements cost more"
            ),
            "leave the default at `read committed`, and begin those transactions stricter that \
             need it",
        );
    }
}

fn durability(found: &mut Findings, facts: &PostgresFacts, survives: Survives) {
    let commit = setting(facts, "synchronous_commit");
    if commit == "off" {
        found.error(
            "postgres-synchronous-commit",
            "synchronous_commit is off: a crash of the server forgets answers that were given, and \
             their requests run again",
            "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf(); or ALTER ROLE … \
             SET for this role alone",
        );
    }
    if setting(facts, "fsync") == "off" && survives >= Survives::Power {
        found.error(
            "postgres-fsync",
            "fsync is off: a power cut damages the whole database",
            "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()",
        );
    }
    if setting(facts, "full_page_writes") == "off" && survives >= Survives::Power {
        found.error(
            "postgres-full-page-writes",
            "full_page_writes is off: a power cut can leave half-written pages",
            "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()",
        );
    }
    if survives >= Survives::Failover {
        if setting(facts, "synchronous_standby_names").is_empty() {
            found.error(
                "postgres-no-sync-standby",
                "no standby is waited for: a failover forgets the last answers",
                "add a standby and name it in synchronous_standby_names",
            );
        } else if commit == "local" {
            found.error(
                "postgres-synchronous-commit",
                "synchronous_commit is `local`: standbys are not waited for",
                "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf()",
            );
        }
    }
}

fn timeouts(found: &mut Findings, facts: &PostgresFacts) {
    let statement = number(facts, "statement_timeout");
    if (1..1_000).contains(&statement) {
        found.warning(
            "postgres-statement-timeout",
            format!("statement_timeout is {statement} ms: a slow moment fails claims and answers"),
            "give this role a second or more: ALTER ROLE … SET statement_timeout = '5s'",
        );
    }
    if facts.longest_idle_in_transaction > Duration::from_secs(60) {
        found.warning(
            "postgres-idle-in-transaction",
            format!(
                "a session has been idle in a transaction for {}: it keeps dead rows from being \
                 cleared away, and may hold the lock of a key",
                words::time(facts.longest_idle_in_transaction)
            ),
            "find it in pg_stat_activity, and set idle_in_transaction_session_timeout",
        );
    } else if number(facts, "idle_in_transaction_session_timeout") == 0 {
        found.note(
            "postgres-idle-timeout",
            "idle_in_transaction_session_timeout is not set: a client that hangs in a transaction \
             holds its keys for ever",
            "ALTER ROLE … SET idle_in_transaction_session_timeout = '1min'",
        );
    }
}

fn table(found: &mut Findings, facts: &PostgresFacts, schema: &str) {
    for missing in &facts.missing_privileges {
        let right = missing.replace(" on the schema", &format!(" on schema {schema}"));
        let right = right.replace(" on records", &format!(" on {schema}.records"));
        found.error(
            "postgres-privileges",
            format!("this role lacks {missing}"),
            format!("GRANT {} TO …", right.replace(" on ", " ON ")),
        );
    }
    match facts.migrations {
        Some(migrations) => found.migrations(migrations.applied, migrations.known),
        None => found.error(
            "postgres-privileges",
            "this role may not look at the table of migrations",
            format!(
                "GRANT USAGE ON SCHEMA {schema} TO …; GRANT SELECT ON {schema}.migrations TO …"
            ),
        ),
    }
    let is_there = facts.bytes > 0;
    if is_there && !facts.has_primary_key {
        found.error(
            "postgres-no-index",
            "the primary key of the table is missing or invalid: two claims of one key can both \
             win, and every look-up reads the whole table",
            format!("ALTER TABLE {schema}.records ADD PRIMARY KEY (key, scope)"),
        );
    }
    if facts.is_unlogged {
        found.error(
            "postgres-unlogged",
            "the table is unlogged: a crash of the server empties it",
            format!("ALTER TABLE {schema}.records SET LOGGED"),
        );
    }
    if facts.autovacuum_off || setting(facts, "autovacuum") == "off" {
        found.error(
            "postgres-autovacuum",
            "autovacuum is off: the table and its index grow with every request",
            format!(
                "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf(); ALTER TABLE \
                 {schema}.records RESET (autovacuum_enabled)"
            ),
        );
    }
    if facts.dead_rows > MANY_DEAD_ROWS && facts.dead_rows > 2 * facts.live_rows {
        found.warning(
            "postgres-bloat",
            format!(
                "{} dead versions beside {} rows: they are not cleared away as fast as they are made",
                facts.dead_rows, facts.live_rows
            ),
            format!(
                "end transactions that stay open (pg_stat_activity), then VACUUM {schema}.records"
            ),
        );
    }
    found.overdue(facts.overdue_rows);
}
