//! A record as three values: its version, to be compared, its time to live, and its bytes.
//!
//! For stores that keep a record as one checksummed value in the format of
//! [`codec`], beside the columns that statements compare.

use std::time::Duration;

use bytes::Bytes;
use idem_core::store::{
    Filter, Record, StoreError, Stored, Version,
    codec::{self, VersionPrefix},
};

/// The longest ttl that is written, a thousand years: far from where 64-bit times end.
const LONGEST_TTL_MS: u64 = 1000 * 365 * 24 * 3600 * 1000;

/// A record that is about to be written.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its version, as [`version`] writes it.
    pub version: VersionPrefix,
    /// The record.
    pub body: Bytes,
    /// How long it is kept.
    pub ttl_ms: i64,
    /// Its state by name, for people.
    pub status: &'static str,
}

impl Row {
    /// The row of a record.
    #[must_use]
    pub fn new(record: &Record, ttl: Duration) -> Self {
        let ttl_ms = millis(ttl).min(LONGEST_TTL_MS);
        Self {
            version: version(record.version),
            body: codec::encode(record, ttl),
            ttl_ms: i64::try_from(ttl_ms).unwrap_or(i64::MAX),
            status: record.state.name(),
        }
    }
}

/// The names of a filter's states, each between commas; empty where any state passes. For a statement
/// that leaves the other records' bytes behind.
#[must_use]
pub fn state_list(filter: &Filter) -> String {
    let names = filter
        .states
        .iter()
        .map(|state| format!(",{}", state.name()));
    let list: String = names.collect();
    match list.is_empty() {
        true => list,
        false => list + ",",
    }
}

/// A version as at most 27 bytes, with which its record begins. The first says the format, so a write of
/// this release never fits a record that a newer one has written.
#[must_use]
pub fn version(version: Version) -> VersionPrefix {
    codec::version_prefix(version)
}

/// Reads a record back, and what the store's clock says of it.
///
/// # Errors
/// [`Corrupt`](idem_core::store::StoreErrorKind::Corrupt) for bytes that are damaged, are of a newer
/// release, or do not belong to this version.
pub fn read(
    version: &[u8],
    body: Vec<u8>,
    age: Duration,
    remaining: Duration,
) -> Result<Stored, StoreError> {
    let body = Bytes::from(body);
    let record = codec::decode(&body)?.record;
    if !body.starts_with(version) {
        return Err(StoreError::corrupt(
            "the version beside the record is another one; was the table changed by hand?",
        ));
    }
    Ok(Stored {
        record,
        age: Some(age),
        remaining: Some(remaining),
    })
}

/// Whole milliseconds, rounded up, so that no lease gets shorter.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    let rounded = duration.saturating_add(Duration::from_nanos(999_999));
    u64::try_from(rounded.as_millis()).unwrap_or(u64::MAX)
}
