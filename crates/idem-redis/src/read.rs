//! The commands that read records, and what their replies mean.
//!
//! `GETEX` reads from a primary alone: it counts as a write, so a server that was demoted refuses it,
//! where `GET` would answer with what it knew. `MGET` reads many for less; a `GETEX` behind it shows that
//! it ran on a primary.

use bytes::Bytes;
use idem_core::StoreErrorKind;
use redis::{Cmd, Value};

use crate::{connection::Replied, error::Failure};

pub(crate) fn value(name: &str) -> Cmd {
    command("GETEX", std::iter::once(name))
}

pub(crate) fn ttl(name: &str) -> Cmd {
    command("PTTL", std::iter::once(name))
}

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

/// What [`ttl`] answered.
pub(crate) fn left(reply: Value) -> Result<i64, Failure> {
    match reply {
        Value::Int(left) => Ok(left),
        _ => Err(Failure::unexpected_reply()),
    }
}
