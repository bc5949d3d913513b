//! The commands that read records, and what their replies mean.
//!
//! `GETEX` reads from a primary alone: it counts as a write, so a server that was demoted refuses it,
//! where `GET` would answer with what it knew. `MGET` reads many for less; a `GETEX` behind it shows that
//! it ran on a primary.

use bytes::Bytes;
use idem_core::store::StoreErrorKind;
use redis::{Cmd, Value};

use crate::{connection::Replied, error::Failure, reply::GONE};

pub(crate) fn value(name: &str) -> Cmd {
    command("GETEX", std::iter::once(name))
}

pub(crate) fn ttl(name: &str) -> Cmd {
    command("PTTL", std::iter::once(name))
}

/// The version of the value whose ttl was read before it.
pub(crate) fn version(name: &str) -> Cmd {
    let mut cmd = Cmd::with_capacity(4, name.len() + 16);
    cmd.arg("GETRANGE").arg(name).arg(0).arg(VERSION - 1);
    cmd
}

/// No version at the start of a value is longer.
const VERSION: usize = 32;

/// To be sent with a [`value`] behind it.
pub(crate) fn values<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Cmd {
    command("MGET", names)
}

fn command<'a>(command: &str, names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Cmd {
    let bytes = command.len() + names.clone().map(str::len).sum::<usize>();
    let mut cmd = Cmd::with_capacity(1 + names.len(), bytes);
    cmd.arg(command);
    for name in names {
        cmd.arg(name);
    }
    cmd
}

/// What [`value`] found.
pub(crate) fn found(reply: Replied) -> Result<Option<Bytes>, Failure> {
    match reply? {
        Value::Nil => Ok(None),
        Value::BulkString(value) => Ok(Some(value.into())),
        _ => Err(Failure::unexpected_reply()),
    }
}

/// What [`values`] found of `n` names, if the [`value`] behind it ran. One that finds something else
/// than a record ran.
pub(crate) fn all_found(
    values: Replied,
    probe: Replied,
    n: usize,
) -> Vec<Result<Option<Bytes>, Failure>> {
    let probed = match probe {
        Err(failure) if failure.kind() != StoreErrorKind::Corrupt => Err(failure),
        _ => Ok(()),
    };
    match probed.and(values) {
        Ok(Value::Array(values)) if values.len() == n => {
            values.into_iter().map(|value| found(Ok(value))).collect()
        }
        Ok(_) => vec![Err(Failure::unexpected_reply()); n],
        Err(failure) => vec![Err(failure); n],
    }
}

/// The ttl of a value that was read before it, from the replies to [`ttl`] and [`version`]. `None` if
/// another value took its place in between: its ttl says nothing of this one's age (rule S4).
pub(crate) fn left(
    value: Option<&Bytes>,
    ttl: Replied,
    version: Replied,
) -> Result<Option<i64>, Failure> {
    let Value::Int(left) = ttl? else {
        return Err(Failure::unexpected_reply());
    };
    let Some(value) = value.filter(|_| left != GONE) else {
        return Ok(Some(left));
    };
    match version? {
        Value::BulkString(version) => {
            let same = value[..value.len().min(VERSION)] == version[..];
            Ok(same.then_some(left))
        }
        _ => Err(Failure::unexpected_reply()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(value: &'static str, version: &str) -> Option<i64> {
        let value = Bytes::from(value);
        let version = Value::BulkString(version.into());
        left(Some(&value), Ok(Value::Int(5)), Ok(version)).unwrap()
    }

    /// A claim under `Halt` has a ttl of a hundred years and its ending one of a day: with the ttl of
    /// the ending the claim would look abandoned.
    #[test]
    fn s4_the_ttl_of_another_version_says_nothing_of_a_record_s_age() {
        let claim = "the version of the claim, and then the rest of it";
        assert_eq!(left_of(claim, &claim[..VERSION]), Some(5));
        assert_eq!(left_of(claim, "the version of the ending, and th"), None);
        assert_eq!(left_of(claim, ""), None);
        assert_eq!(left_of("x", "x"), Some(5));
    }

    #[test]
    fn a_record_that_is_gone_has_no_version() {
        let value = Bytes::from("value");
        let version = Ok(Value::BulkString(Vec::new()));
        let left = left(Some(&value), Ok(Value::Int(GONE)), version);
        assert_eq!(left.unwrap(), Some(GONE));
    }
}
