//! `idem doctor`: what is wrong with a store's server, and how to mend it.
//!
//! The store crates read facts; the judgement is here. Each finding has a code that stays.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod room;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::process::ExitCode;

use idem_core::store::{StoreError, StoreErrorKind};
use serde_json::{Value, json};

use crate::{
    cli::DoctorArgs,
    failure::{Failure, Kind, with_causes},
    output::{BAD, BOLD, CARE, GOOD, Output, printable},
    place::{Place, StoreKind},
    words,
};

/// A clock that differs by more than this is worth a word: nothing is decided by the difference, but
/// it tells of a clock that nobody keeps.
const CLOCK_SLACK_MS: u64 = 2_000;

/// Among so many expired records that are not swept, somebody does not sweep.
const OVERDUE_ROWS: u64 = 1_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Worth knowing.
    Note,
    /// Bad under some circumstances.
    Warning,
    /// Answers can be lost, requests can run twice, or nothing works.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    code: &'static str,
    severity: Severity,
    what: String,
    mend: String,
}

impl Finding {
    fn new(
        severity: Severity,
        code: &'static str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            what: what.into(),
            mend: mend.into(),
        }
    }
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, code: &'static str, what: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding::new(Severity::Error, code, what, mend));
    }

    fn warning(&mut self, code: &'static str, what: impl Into<String>, mend: impl Into<String>) {
        self.0
            .push(Finding::new(Severity::Warning, code, what, mend));
    }

    fn note(&mut self, code: &'static str, what: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding::new(Severity::Note, code, what, mend));
    }

    /// What the store says when it cannot be opened at all.
    fn unusable(&mut self, error: &StoreError) {
        let (code, mend) = match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Unknown => (
                "cannot-connect",
                "check that the server runs, the address and port of the URL, and the firewall",
            ),
            StoreErrorKind::Corrupt => (
                "damaged",
                "stop writing to it, and restore it from a backup",
            ),
            _ => (
                "cannot-use",
                "mend what it says, then run `idem doctor` again",
            ),
        };
        self.error(code, with_causes(error), mend);
    }

    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    fn migrations(&mut self, applied: usize, known: usize) {
        if applied < known {
            self.error(
                "migrations-pending",
                format!("the tables are at version {applied}, and this release needs {known}"),
                "run `idem migrate`, before the new release is deployed",
            );
        }
        if applied > known {
            self.error(
                "migrations-newer",
                format!(
                    "the tables are at version {applied}, and this release knows {known}: it \
                     refuses to use them"
                ),
                "upgrade this program and the application",
            );
        }
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn overdue(&mut self, rows: u64) {
        if rows >= OVERDUE_ROWS {
            self.warning(
                "sweep-lag",
                format!("{rows} records were over more than ten minutes ago, and are still there"),
                "nobody sweeps: keep the handle of `sweep_in_background` in one process at least, \
                 or leave `sweep_every` on; `idem sweep` removes them now",
            );
        }
    }

    #[cfg(any(feature = "redis", feature = "postgres", feature = "mysql"))]
    fn clock(&mut self, ahead_ms: i64) {
        if ahead_ms.unsigned_abs() > CLOCK_SLACK_MS {
            let by = words::time(std::time::Duration::from_millis(ahead_ms.unsigned_abs()));
            let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
            self.warning(
                "clock",
                format!("the server's clock is {by} {way} this host's; one of the two is wrong"),
                "keep both by NTP, and slew the server's clock: a step ends leases early or late",
            );
        }
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn connections(&mut self, allowed: u64, open: u64, planned: Option<u32>) {
        if let Some(planned) = planned
            && u64::from(planned) > allowed
        {
            self.error(
                "connections-planned",
                format!(
                    "the application opens {planned} connections, and the server takes {allowed}"
                ),
                "raise `max_connections`, make the pools smaller, or put a pooler in between; each \
                 process of the store's has four connections beside its pool",
            );
        }
        if allowed > 0 && open * 10 >= allowed * 9 {
            self.warning(
                "connections-used",
                format!("{open} of the {allowed} connections that the server takes are open"),
                "raise `max_connections`, make the pools smaller, or put a pooler in between",
            );
        }
    }
}

pub(crate) async fn run(
    place: &Place,
    args: &DoctorArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut findings = match place.kind {
        #[cfg(feature = "sqlite")]
        StoreKind::Sqlite => sqlite::findings(place, args).await,
        #[cfg(feature = "redis")]
        StoreKind::Redis => redis::findings(place, args).await,
        #[cfg(feature = "postgres")]
        StoreKind::Postgres => postgres::findings(place, args).await,
        #[cfg(feature = "mysql")]
        StoreKind::MySql => mysql::findings(place, args).await,
        #[allow(unreachable_patterns, reason = "reached where a store is left out")]
        _ => {
            place.open().await?;
            Findings::default()
        }
    };
    findings.0.sort_by(|one, other| {
        let by_severity = other.severity.cmp(&one.severity);
        by_severity.then_with(|| one.code.cmp(other.code))
    });
    let count = |severity| {
        let of_it = findings
            .0
            .iter()
            .filter(|finding| finding.severity == severity);
        of_it.count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    for finding in &findings.0 {
        finding.print(output);
    }
    let notes = findings.0.len() - errors - warnings;
    let summary = json!({
        "type": "doctor",
        "store": place.shown(),
        "errors": errors,
        "warnings": warnings,
        "notes": notes,
    });
    output.say(&summary, || match findings.0.len() {
        0 => format!("{GOOD}nothing found{GOOD:#}  {}", printable(&place.shown())),
        _ => format!(
            "{BOLD}{}{BOLD:#}: {}, {}, {}",
            printable(&place.shown()),
            words::count(errors, "error"),
            words::count(warnings, "warning"),
            words::count(notes, "note"),
        ),
    });
    let is_ill = errors > 0 || (warnings > 0 && !args.errors_only);
    Ok(match is_ill {
        true => ExitCode::from(Kind::Findings.number()),
        false => ExitCode::SUCCESS,
    })
}

impl Finding {
    fn print(&self, output: &Output) {
        let (style, name) = match self.severity {
            Severity::Error => (BAD, "error"),
            Severity::Warning => (CARE, "warning"),
            Severity::Note => (BOLD, "note"),
        };
        let value: Value = json!({
            "type": "finding",
            "code": self.code,
            "severity": name,
            "what": self.what,
            "mend": self.mend,
        });
        output.say(&value, || {
            format!(
                "{style}{name:<8}{style:#} {BOLD}{}{BOLD:#}\n{}\n{}\n",
                self.code,
                wrapped(&printable(&self.what), "         "),
                wrapped(&format!("mend: {}", printable(&self.mend)), "         "),
            )
        });
    }
}

/// Text in lines of 80 columns at most, where its words allow it.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        let is_empty = line.len() == indent.len();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > 80 {
            out.push_str(&line);
            out.push('\n');
            line = indent.to_owned();
        } else if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out
}

/// The room that the records take in the store, in bytes, where it can say.
pub(crate) async fn size(place: &Place) -> Option<u64> {
    match place.kind {
        #[cfg(feature = "sqlite")]
        StoreKind::Sqlite => sqlite::size(place),
        #[cfg(feature = "redis")]
        StoreKind::Redis => redis::size(place).await,
        #[cfg(feature = "postgres")]
        StoreKind::Postgres => {
            let facts = idem_postgres::inspect(&place.url, &place.schema)
                .await
                .ok()?;
            Some(facts.bytes)
        }
        #[cfg(feature = "mysql")]
        StoreKind::MySql => Some(idem_mysql::inspect(&place.url).await.ok()?.bytes),
        #[allow(unreachable_patterns, reason = "reached where a store is left out")]
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_80_columns() {
        let text = "a word and another ".repeat(20);
        let wrapped = wrapped(text.trim_end(), "    ");
        assert!(wrapped.lines().all(|line| line.len() <= 80), "{wrapped}");
        assert!(wrapped.lines().count() > 4);
    }
}
