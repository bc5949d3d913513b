//! The Lua scripts: compare a version, then write. All decisions stay in `idem-core`.

use bytes::Bytes;
use idem_core::{Version, codec};
use redis::Cmd;

/// A script and its digest, by which a server that has seen it knows it.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

/// What a script is called with.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The record.
    pub(crate) name: &'a str,
    /// The version that has to be there, for a script that compares.
    pub(crate) expected: Option<&'a Prefix>,
    /// The new value and its ttl in milliseconds, for a script that writes one.
    pub(crate) value: Option<(&'a Bytes, u64)>,
}

/// The first bytes of every record with a version, and of no other.
pub(crate) struct Prefix(Bytes);

impl Prefix {
    pub(crate) fn of(version: Version) -> Self {
        Self(codec::version_prefix(version))
    }
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            digest: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    /// Runs it by its digest, which a server that forgot it answers with `NOSCRIPT`.
    pub(crate) fn by_digest(&self, call: Call<'_>) -> Cmd {
        call.of("EVALSHA", &self.digest)
    }

    /// Runs it by its text, which makes the server know it.
    pub(crate) fn by_text(&self, call: Call<'_>) -> Cmd {
        call.of("EVAL", self.text)
    }
}

impl Call<'_> {
    fn of(self, command: &str, script: &str) -> Cmd {
        const ARGS: usize = 8;
        const NUMBERS: usize = 64;
        let value_len = self.value.map_or(0, |(value, _)| value.len());
        let mut cmd = Cmd::with_capacity(
            ARGS,
            command.len() + script.len() + self.name.len() + value_len + NUMBERS,
        );
        cmd.arg(command).arg(script).arg(1).arg(self.name);
        if let Some(Prefix(prefix)) = self.expected {
            cmd.arg(&prefix[..]).arg(prefix.len() - 1);
        }
        if let Some((value, ttl)) = self.value {
            cmd.arg(&value[..]).arg(ttl);
        }
        cmd
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) update: Script,
    pub(crate) delete: Script,
    pub(crate) read: Script,
    pub(crate) touch: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            update: Script::new(include_str!("scripts/update.lua")),
            delete: Script::new(include_str!("scripts/delete.lua")),
            read: Script::new(include_str!("scripts/read.lua")),
            touch: Script::new(include_str!("scripts/touch.lua")),
        }
    }
}
