//! [`Native`]: comparing by the server's own commands where it has them, which costs it less than a
//! script.
//!
//! | | since |
//! |---|---|
//! | `SET … IFEQ` | Valkey 8.1, Redis 8.4 |
//! | `DELIFEQ` | Valkey 9.0 |
//! | `DELEX … IFEQ` | Redis 8.4, Valkey 9.2 |
//!
//! Seen at work on Valkey 8.1 and 9.1; for the others there is the documentation alone.
//!
//! They compare the *whole* value, while a caller names only its version. So the values that this
//! process wrote last are remembered, up to a bound: the ending of a claim made here finds its claim's
//! value there. Without one, or on a server without the command, the script compares the version.
//! What the command refuses the script looks at again, so the command decides nothing but success.

mod recent;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use idem_core::Version;
use redis::{Cmd, Value};

use crate::{error::Failure, link::Written};
use recent::Recent;

/// Which of the server's commands work, and the values to give them.
pub(crate) struct Native {
    set: Support,
    delete: Support,
    recent: Recent,
}

impl Native {
    pub(crate) fn new() -> Self {
        Self {
            set: Support::default(),
            delete: Support::default(),
            recent: Recent::new(),
        }
    }

    /// Remembers a value that this process wrote, for the write that will follow it.
    pub(crate) fn remember(&self, version: Version, value: Bytes) {
        if self.set.is_open() {
            self.recent.remember(version, value);
        }
    }

    /// A command that replaces the record of this version.
    pub(crate) fn replace(
        &self,
        name: &str,
        expected: Version,
        value: &Bytes,
        ttl: u64,
    ) -> Option<Attempt<'_>> {
        let support = Some(&self.set).filter(|support| support.is_open())?;
        let previous = self.recent.take(expected)?;
        const ARGS: usize = 7;
        const WORDS: usize = 40;
        let bytes = name.len() + value.len() + previous.len() + WORDS;
        let mut cmd = Cmd::with_capacity(ARGS, bytes);
        cmd.arg("SET").arg(name).arg(&value[..]);
        cmd.arg("IFEQ").arg(&previous[..]).arg("PX").arg(ttl);
        Some(Attempt { cmd, support })
    }

    /// A command that removes the record of this version, if the server said that it has one.
    pub(crate) fn remove(
        &self,
        command: Option<DeleteCommand>,
        name: &str,
        expected: Version,
    ) -> Option<Attempt<'_>> {
        let support = Some(&self.delete).filter(|support| support.is_open())?;
        let cmd = command?.of(name, &self.recent.take(expected)?);
        Some(Attempt { cmd, support })
    }
}

/// A command that deletes a key of a certain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeleteCommand {
    Delifeq,
    Delex,
}

impl DeleteCommand {
    /// All of them, the preferred one first.
    pub(crate) const ALL: [Self; 2] = [Self::Delifeq, Self::Delex];

    /// What it is called. A server is asked for it by this before it is used: one that does not know
    /// it would quote the value in its error, and the driver gives a connection up over a line that
    /// is no text.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delifeq => "DELIFEQ",
            Self::Delex => "DELEX",
        }
    }

    fn of(self, name: &str, value: &[u8]) -> Cmd {
        let mut cmd = redis::cmd(self.name());
        cmd.arg(name);
        if self == Self::Delex {
            cmd.arg("IFEQ");
        }
        cmd.arg(value);
        cmd
    }
}

/// One of the server's own commands, about to be tried.
pub(crate) struct Attempt<'a> {
    pub(crate) cmd: Cmd,
    support: &'a Support,
}

impl<'a> Attempt<'a> {
    pub(crate) fn into_parts(self) -> (Cmd, &'a Support) {
        (self.cmd, self.support)
    }
}

/// Whether the server has a command: open until it says no.
#[derive(Debug, Default)]
pub(crate) struct Support {
    missing: AtomicBool,
}

impl Support {
    fn is_open(&self) -> bool {
        !self.missing.load(Ordering::Relaxed)
    }

    /// The write, if the command applied it. `None` when it found something else, and from a server
    /// without the command, which is not asked again.
    pub(crate) fn applied(
        &self,
        result: Result<Written, Failure>,
    ) -> Result<Option<Written>, Failure> {
        match result {
            Ok(written) if matches!(written.reply, Value::Okay | Value::Int(1)) => {
                Ok(Some(written))
            }
            Ok(_) => Ok(None),
            Err(failure) if failure.is_unsupported() => {
                self.missing.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}
