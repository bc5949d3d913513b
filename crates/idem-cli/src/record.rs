//! How a record is shown, as text and as JSON.

use std::time::Duration;

use idem_core::{
    RecordKey, Timestamp,
    machine::NEVER,
    store::{ClaimToken, Record, State, Stored, Version},
};
use serde_json::{Map, Value, json};

use crate::{
    output::{BAD, BOLD, CARE, GOOD, printable},
    words,
};

/// A record that is kept for longer than this was claimed under `Halt` or `Probe`.
const AS_GOOD_AS_NEVER: Duration = Duration::from_secs(NEVER.as_secs() / 2);

/// Where a record stands, for people: a record in flight whose lease is over is *abandoned*, or
/// *halted* if it never runs again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Standing {
    /// Somebody runs it, and its lease is not over
    InFlight,
    /// Its lease is over; the next claim takes it over
    Abandoned,
    /// Its lease is over, and it waits for somebody to settle it
    Halted,
    /// It ended without effect; the next claim of the same request runs
    Retryable,
    /// The key is free; the next claim runs, whatever the request
    Released,
    /// It succeeded, and its answer is stored
    Completed,
    /// It failed for good, and its failure is stored
    Failed,
}

impl Standing {
    pub(crate) const ALL: [Self; 7] = [
        Self::InFlight,
        Self::Abandoned,
        Self::Halted,
        Self::Retryable,
        Self::Released,
        Self::Completed,
        Self::Failed,
    ];

    pub(crate) fn of(stored: &Stored) -> Self {
        match &stored.record.state {
            State::InFlight { lease, .. } => match stored.age {
                Some(age) if age >= *lease => match stored.remaining {
                    Some(left) if left > AS_GOOD_AS_NEVER => Self::Halted,
                    _ => Self::Abandoned,
                },
                _ => Self::InFlight,
            },
            State::Retryable { .. } => Self::Retryable,
            State::Released => Self::Released,
            State::Completed { .. } => Self::Completed,
            State::Failed { .. } => Self::Failed,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::Abandoned => "abandoned",
            Self::Halted => "halted",
            Self::Retryable => "retryable",
            Self::Released => "released",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    fn style(self) -> anstyle::Style {
        match self {
            Self::Completed => GOOD,
            Self::Abandoned | Self::Halted => BAD,
            Self::InFlight => CARE,
            Self::Retryable | Self::Released | Self::Failed => BOLD,
        }
    }

    /// Its name in a colour.
    pub(crate) fn shown(self) -> String {
        let style = self.style();
        format!("{style}{}{style:#}", self.name())
    }

    /// Its name in a colour, as wide as the longest.
    pub(crate) fn column(self) -> String {
        let style = self.style();
        format!("{style}{:<9}{style:#}", self.name())
    }
}

/// How old the record is: by the store's clock, or, where the store was not asked, since the key was
/// first claimed.
pub(crate) fn age(stored: &Stored) -> Duration {
    stored.age.unwrap_or_else(|| {
        let since = Timestamp::now().as_millis();
        Duration::from_millis(since.saturating_sub(stored.record.created_at.as_millis()))
    })
}

/// The heads of [`row`]'s columns.
pub(crate) fn head() -> String {
    format!("{BOLD}STATE     AGE       ATTEMPT  KEY{BOLD:#}")
}

/// A record on one line. The key is last and whole, so that it can be copied.
pub(crate) fn row(key: &RecordKey, stored: &Stored) -> String {
    format!(
        "{} {:<9} {:>7}  {}",
        Standing::of(stored).column(),
        words::time(age(stored)),
        stored.record.attempt,
        printable(key.as_str())
    )
}

/// What each JSON object of a record has.
pub(crate) fn json(key: &RecordKey, stored: &Stored) -> Map<String, Value> {
    let record = &stored.record;
    let lease = match &record.state {
        State::InFlight { lease, .. } => Some(words::seconds(*lease)),
        _ => None,
    };
    let value = json!({
        "type": "record",
        "key": key.as_str(),
        "scope": key.scope(),
        "state": Standing::of(stored).name(),
        "attempt": record.attempt,
        "age_s": stored.age.map(words::seconds),
        "lease_s": lease,
        "remaining_s": stored.remaining.map(words::seconds),
        "created_at": rfc3339(record.created_at),
        "version": version(&record.version),
        "fingerprint": words::hex(record.fingerprint.as_bytes()),
        "bytes": record.state.bytes(),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

pub(crate) fn rfc3339(stamp: Timestamp) -> String {
    // Later than the year 9999 has no such form; a stamp from a wrong clock is shown as the last one.
    let last = Timestamp::from_millis(253_402_300_799_000);
    humantime::format_rfc3339_millis(stamp.min(last).to_system_time()).to_string()
}

/// A version as text, to be given to `--if-version`.
pub(crate) fn version(version: &Version) -> String {
    format!(
        "{}.{}",
        words::hex(version.token.as_bytes()),
        version.revision
    )
}

pub(crate) fn parse_version(text: &str) -> Result<Version, String> {
    let read = || {
        let (token, revision) = text.split_once('.')?;
        let token: [u8; 16] = words::from_hex(token)?.try_into().ok()?;
        Some(Version {
            token: ClaimToken::from_bytes(token),
            revision: revision.parse().ok()?,
        })
    };
    read().ok_or_else(|| "not a version; take it from `idem show`".to_owned())
}

/// The record that takes this one's place when it is changed by hand.
pub(crate) fn successor(record: &Record, state: State) -> Record {
    Record {
        version: Version {
            token: ClaimToken::from_bytes(rand::random()),
            revision: record.version.revision.saturating_add(1),
        },
        state,
        ..record.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_back_and_nothing_else_does() {
        let there = Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision: u64::MAX,
        };
        assert_eq!(parse_version(&version(&there)), Ok(there));
        for text in ["", "07.1", "x.y", "07070707070707070707070707070707"] {
            assert!(parse_version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_stamp_of_a_wrong_clock_is_shown() {
        assert_eq!(
            rfc3339(Timestamp::from_millis(0)),
            "1970-01-01T00:00:00.000Z"
        );
        assert!(rfc3339(Timestamp::from_millis(u64::MAX)).starts_with("9999-12-31"));
    }
}
