//! [`Native`]: replacing a record by `SET … IFEQ`, on servers that have it (Valkey 8.1, Redis 8.4). It
//! costs the server half as much as a script. Seen at work on Valkey 8.1 and 9.1; for Redis there is the
//! documentation alone.
//!
//! `IFEQ` compares the *whole* value, while a caller names only its version. So the values that this
//! process wrote last are remembered, up to a bound. Without one, or on a server without `IFEQ`, the
//! script compares the version. The script also looks again at what `IFEQ` refused, so the command
//! decides nothing but success.

mod recent;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use idem_core::store::Version;
use redis::{Cmd, Value};

use crate::{error::Failure, link::Written};
use recent::Recent;

/// Whether the server has the command, and the values to give it.
pub(crate) struct Native {
    /// Set when the server said that it does not know the command.
    missing: AtomicBool,
    recent: Recent,
}

impl Native {
    pub(crate) fn new() -> Self {
        Self {
            missing: AtomicBool::new(false),
            recent: Recent::new(),
        }
    }

    fn is_missing(&self) -> bool {
        self.missing.load(Ordering::Relaxed)
    }

    /// Remembers a value that this process wrote, for the write that will follow it.
    pub(crate) fn remember(&self, version: Version, value: Bytes) {
        if !self.is_missing() {
            self.recent.remember(version, value);
        }
    }

    /// The command that replaces the record of this version, if it can be used.
    pub(crate) fn replace(
        &self,
        name: &str,
        expected: Version,
        value: &Bytes,
        ttl: u64,
    ) -> Option<Cmd> {
        if self.is_missing() {
            return None;
        }
        let previous = self.recent.take(expected)?;
        const ARGS: usize = 7;
        const WORDS: usize = 40;
        let bytes = name.len() + value.len() + previous.len() + WORDS;
        let mut cmd = Cmd::with_capacity(ARGS, bytes);
        cmd.arg("SET").arg(name).arg(&value[..]);
        cmd.arg("IFEQ").arg(&previous[..]).arg("PX").arg(ttl);
        Some(cmd)
    }

    /// The write, if the command applied it. `None` when it found another value, and from a server
    /// without the command, which is not asked again.
    pub(crate) fn applied(
        &self,
        result: Result<Written, Failure>,
    ) -> Result<Option<Written>, Failure> {
        match result {
            Ok(written) if matches!(written.reply, Value::Okay) => Ok(Some(written)),
            Ok(_) => Ok(None),
            Err(failure) if failure.is_unsupported() => {
                self.missing.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}
