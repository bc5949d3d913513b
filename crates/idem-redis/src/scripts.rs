//! The Lua scripts: compare a version, then write. All decisions stay in `idem-core`.

use redis::Cmd;

/// A script and its digest, by which a server that has seen it knows it.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            digest: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    /// Runs it by its digest, which a server that forgot it answers with `NOSCRIPT`.
    pub(crate) fn by_digest(&self, name: &str, args: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.digest, name, args)
    }

    /// Runs it by its text, which makes the server know it.
    pub(crate) fn by_text(&self, name: &str, args: &[&[u8]]) -> Cmd {
        call("EVAL", self.text, name, args)
    }
}

fn call(command: &str, script: &str, name: &str, args: &[&[u8]]) -> Cmd {
    let mut cmd = redis::cmd(command);
    cmd.arg(script).arg(1).arg(name);
    for arg in args {
        cmd.arg(*arg);
    }
    cmd
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
