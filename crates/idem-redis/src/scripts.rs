//! The Lua scripts: compare a version, then write. All decisions stay in `idem-core`.

use bytes::Bytes;
use idem_core::store::codec::VersionPrefix;
use redis::{Cmd, Value};

use crate::{connection::Replied, error::Failure};

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
    pub(crate) expected: Option<&'a VersionPrefix>,
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
        const ARGS: usize = 6;
        let bytes = command.len() + script.len() + self.name.len() + NUMBERS;
        let mut cmd = Cmd::with_capacity(ARGS, bytes);
        cmd.arg(command).arg(script).arg(1).arg(self.name);
        if let Some(prefix) = self.expected {
            cmd.arg(&prefix[..]).arg(prefix.len() - 1);
        }
        cmd
    }
}

/// Room for the numbers among a command's arguments, and for a version.
const NUMBERS: usize = 64;

/// Those that look at one record.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) delete: Script,
    pub(crate) touch: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            delete: Script::new(include_str!("scripts/delete.lua")),
            touch: Script::new(include_str!("scripts/touch.lua")),
        }
    }
}

/// The scripts that replace records: one, or many. A loop over one record costs the server nearly half
/// as much again as none.
#[derive(Debug)]
pub(crate) struct Replace {
    one: Script,
    many: Script,
}

/// A record's new value, in the place of the version that has to be there.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) name: String,
    pub(crate) expected: VersionPrefix,
    pub(crate) value: Bytes,
    /// In milliseconds.
    pub(crate) ttl: u64,
}

/// What records that are replaced by one run of the script have in common. Said once and not with
/// each, which is a tenth of what the run costs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Terms {
    ttl: u64,
    /// The offset of the last byte of the version that has to be there.
    last: usize,
}

impl Replacement {
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            ttl: self.ttl,
            last: self.expected.len() - 1,
        }
    }

    /// What it takes on the wire, but for a few words.
    pub(crate) fn len(&self) -> usize {
        self.name.len() + self.expected.len() + self.value.len()
    }
}

impl Replace {
    pub(crate) fn new() -> Self {
        Self {
            one: Script::new(include_str!("scripts/update_one.lua")),
            many: Script::new(include_str!("scripts/update.lua")),
        }
    }

    /// Replaces these records, whose terms are the same.
    pub(crate) fn command(&self, all: &[&Replacement], by_text: bool) -> Cmd {
        let script = if all.len() == 1 {
            &self.one
        } else {
            &self.many
        };
        let (command, script) = match by_text {
            true => ("EVAL", script.text),
            false => ("EVALSHA", &*script.digest),
        };
        let bytes = all.iter().map(|one| one.len()).sum::<usize>();
        let mut cmd = Cmd::with_capacity(
            5 + 3 * all.len(),
            command.len() + script.len() + NUMBERS + bytes,
        );
        cmd.arg(command).arg(script).arg(all.len());
        for replacement in all {
            cmd.arg(&replacement.name);
        }
        if let Some(first) = all.first() {
            let terms = first.terms();
            cmd.arg(terms.last).arg(terms.ttl);
        }
        for replacement in all {
            cmd.arg(&replacement.expected[..]);
            cmd.arg(&replacement.value[..]);
        }
        cmd
    }

    /// What the script says of each of so many records.
    pub(crate) fn replies(reply: Replied, n: usize) -> Result<Vec<Replied>, Failure> {
        let replies = match reply? {
            only if n == 1 => vec![only],
            Value::Int(all) if usize::try_from(all) == Ok(n) => vec![Value::Int(1); n],
            Value::Array(replies) if replies.len() == n => replies,
            _ => return Err(Failure::unexpected_reply()),
        };
        let each = replies.into_iter();
        Ok(each
            .map(|reply| reply.extract_error().map_err(Failure::maybe))
            .collect())
    }
}
