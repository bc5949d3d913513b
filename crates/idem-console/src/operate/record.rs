//! Where a record stands, why it waits, and how it is shown.

use std::time::Duration;

use idem_core::{
    RecordKey, Timestamp,
    machine::NEVER,
    store::{ClaimToken, State, Stored, Version},
};
use serde_json::{Map, Value, json};

use super::words;

/// A record that is kept for longer than this was claimed under `Halt` or `Probe`.
const AS_GOOD_AS_NEVER: Duration = Duration::from_secs(NEVER.as_secs() / 2);

/// Where a record stands, for people: a record in flight whose lease is over is *abandoned*, or
/// *halted* if it never runs again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
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
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::InFlight,
        Self::Abandoned,
        Self::Halted,
        Self::Retryable,
        Self::Released,
        Self::Completed,
        Self::Failed,
    ];

    /// Where a record stands.
    #[must_use]
    pub fn of(stored: &Stored) -> Self {
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

    /// Its name, as it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

    /// The standing of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.name() == name)
    }

    /// Why a record is where it is, and what happens next.
    #[must_use]
    pub fn why(stored: &Stored) -> String {
        let standing = Self::of(stored);
        match (&stored.record.state, standing) {
            (State::InFlight { lease, .. }, Self::InFlight) => {
                let left = lease.saturating_sub(stored.age.unwrap_or(Duration::ZERO));
                format!("it runs, and its lease is over in {}", words::time(left))
            }
            (State::InFlight { lease, .. }, _) => {
                let over = stored.age.unwrap_or_default().saturating_sub(*lease);
                let next = match standing {
                    Self::Halted => "it waits for somebody to settle it",
                    _ => "the next claim takes it over",
                };
                format!("its lease was over {} ago; {next}", words::time(over))
            }
            (State::Retryable { .. }, _) => {
                "it had no effect; the next claim of the same request runs".into()
            }
            (State::Released, _) => "the key is free; the next claim runs".into(),
            (State::Completed { .. }, _) => "repeats get the stored answer".into(),
            (State::Failed { .. }, _) => "repeats get the stored failure".into(),
        }
    }
}

/// How old the record is: by the store's clock, or, where the store was not asked, since the key was
/// first claimed.
#[must_use]
pub fn age(stored: &Stored) -> Duration {
    stored.age.unwrap_or_else(|| {
        let since = Timestamp::now().as_millis();
        Duration::from_millis(since.saturating_sub(stored.record.created_at.as_millis()))
    })
}

/// What each JSON object of a record has.
#[must_use]
pub fn json(key: &RecordKey, stored: &Stored) -> Map<String, Value> {
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

/// A time as text.
#[must_use]
pub fn rfc3339(stamp: Timestamp) -> String {
    // Later than the year 9999 has no such form; a stamp from a wrong clock is shown as the last one.
    let last = Timestamp::from_millis(253_402_300_799_000);
    humantime::format_rfc3339_millis(stamp.min(last).to_system_time()).to_string()
}

/// A version as text, to be given to `--if-version`.
#[must_use]
pub fn version(version: &Version) -> String {
    format!(
        "{}.{}",
        words::hex(version.token.as_bytes()),
        version.revision
    )
}

/// Reads what [`version`] wrote.
///
/// # Errors
/// A sentence that says where to take one.
pub fn parse_version(text: &str) -> Result<Version, String> {
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
