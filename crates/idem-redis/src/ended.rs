//! [`Ended`]: keys that were seen to have ended, whose next claim will be a replay.
//!
//! A claim of such a key needs to write nothing, so it reads first: that sends less, and costs the
//! server less, than a claim that finds its key taken. What is remembered decides about that alone. A
//! key that turns out to be free, or in flight, is claimed as any other.

use std::sync::atomic::{AtomicBool, Ordering};

use idem_core::{SeenKeys, StoreErrorKind};
use redis::Cmd;

use crate::{connection::Replied, error::Failure};

#[derive(Default)]
pub(crate) struct Ended {
    seen: SeenKeys,
    /// The server does not let this user read so.
    refused: AtomicBool,
}

impl Ended {
    /// Whether a claim of this name had better read first.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.seen.has(name) && !self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn remember(&self, name: &str) {
        self.seen.remember(name);
    }

    /// It has not ended any more.
    pub(crate) fn forget(&self, name: &str) {
        self.seen.forget(name);
    }

    /// From now on no claim reads first.
    pub(crate) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

/// Reads a value, from a primary alone: `GETEX` counts as a write, so a server that was demoted says
/// that it is a replica, where `GET` would answer with what it knew.
pub(crate) fn get(name: &str) -> Cmd {
    read("GETEX", std::iter::once(name))
}

/// Reads values, which costs less than to read each by itself. To be sent with a [`get`] behind it, to
/// learn that they are a primary's.
pub(crate) fn get_many<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Cmd {
    read("MGET", names)
}

/// Whether a [`get`] was run, and so by a primary. One that finds no record but something else's key
/// was.
pub(crate) fn ran(get: Replied) -> Result<(), Failure> {
    match get {
        Err(failure) if failure.kind() != StoreErrorKind::Corrupt => Err(failure),
        _ => Ok(()),
    }
}

fn read<'a>(command: &str, names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Cmd {
    let bytes = command.len() + names.clone().map(str::len).sum::<usize>();
    let mut cmd = Cmd::with_capacity(1 + names.len(), bytes);
    cmd.arg(command);
    for name in names {
        cmd.arg(name);
    }
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_refuses_is_asked_no_more() {
        let ended = Ended::default();
        ended.remember("a");
        ended.refuse();
        assert!(!ended.has("a"));
    }
}
