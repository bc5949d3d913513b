//! The Lua scripts: compare a version, then write. All decisions stay in `idem-core`.

use bytes::Bytes;
use idem_core::codec::VersionPrefix;
use redis::{Cmd, Value};

use crate::{
    connection::{Replied, io_error},
    error::Failure,
};

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
    pub(crate) read: Script,
    pub(crate) touch: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            delete: Script::new(include_str!("scripts/delete.lua")),
            read: Script::new(include_str!("scripts/read.lua")),
            touch: Script::new(include_str!("scripts/touch.lua")),
        }
    }
}

/// The scripts that replace records: one, or as many as travel together. A loop over one record
/// costs the server nearly half as much again as none.
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

/// Records to be replaced by one run of the script.
pub(crate) trait Replacements<'a>:
    ExactSizeIterator<Item = &'a Replacement> + Clone
{
}

impl<'a, R: ExactSizeIterator<Item = &'a Replacement> + Clone> Replacements<'a> for R {}

impl Replace {
    pub(crate) fn new() -> Self {
        Self {
            one: Script::new(include_str!("scripts/update_one.lua")),
            many: Script::new(include_str!("scripts/update.lua")),
        }
    }

    pub(crate) fn by_digest<'a>(&self, replacements: impl Replacements<'a>) -> Cmd {
        Self::of("EVALSHA", &self.script(&replacements).digest, replacements)
    }

    pub(crate) fn by_text<'a>(&self, replacements: impl Replacements<'a>) -> Cmd {
        Self::of("EVAL", self.script(&replacements).text, replacements)
    }

    fn script<'a>(&self, replacements: &impl Replacements<'a>) -> &Script {
        match replacements.len() {
            1 => &self.one,
            _ => &self.many,
        }
    }

    fn of<'a>(command: &str, script: &str, replacements: impl Replacements<'a>) -> Cmd {
        const EACH: usize = 5;
        let bytes = replacements.clone().map(Replacement::len).sum::<usize>();
        let mut cmd = Cmd::with_capacity(
            3 + EACH * replacements.len(),
            command.len() + script.len() + NUMBERS + bytes,
        );
        cmd.arg(command).arg(script).arg(replacements.len());
        for replacement in replacements.clone() {
            cmd.arg(&replacement.name);
        }
        for replacement in replacements {
            let prefix = &replacement.expected[..];
            cmd.arg(prefix).arg(prefix.len() - 1);
            cmd.arg(&replacement.value[..]).arg(replacement.ttl);
        }
        cmd
    }

    /// What the script says of each of so many records.
    pub(crate) fn replies(reply: Value, n: usize) -> Result<Vec<Replied>, Failure> {
        let replies = match reply {
            only if n == 1 => vec![only],
            Value::Int(all) if usize::try_from(all) == Ok(n) => vec![Value::Int(1); n],
            Value::Array(replies) if replies.len() == n => replies,
            _ => {
                return Err(Failure::maybe(io_error(
                    "the script answered otherwise than it does",
                )));
            }
        };
        let each = replies.into_iter();
        Ok(each
            .map(|reply| reply.extract_error().map_err(Failure::maybe))
            .collect())
    }
}

impl Replacement {
    fn len(&self) -> usize {
        self.name.len() + self.value.len() + NUMBERS
    }
}
