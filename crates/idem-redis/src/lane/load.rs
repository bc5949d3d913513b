//! [`Load`]: many callers' requests as few commands, and whose reply is whose.

use std::sync::Arc;

use redis::{Cmd, Pipeline, Value};
use tokio::sync::oneshot;

use super::{Answer, Request, queue::Said};
use crate::{
    connection::{Replied, Server, io_error},
    ended,
    error::Failure,
    scripts::{Replace, Replacement, Terms},
};

/// Records that one command reads, or one run of the script replaces, at most: meanwhile the server does
/// nothing else.
const TOGETHER: usize = 64;

/// Where an answer goes.
pub(super) type Caller = oneshot::Sender<Said>;

/// Requests that travel together, by what becomes of them. Used again once it is empty: room that is
/// allocated on one thread and freed on another makes both wait for the allocator.
#[derive(Default)]
pub(super) struct Load {
    /// The commands that stand for one caller each.
    commands: Vec<(Command, Caller)>,
    /// Names of records that are read together.
    finds: Vec<(String, Caller)>,
    /// Records that are replaced together.
    replacements: Vec<Replacing>,
}

type Replacing = (Replacement, Caller);

struct Command {
    cmd: Cmd,
    writes: bool,
}

impl Load {
    pub(super) fn add(&mut self, request: Request, caller: Caller) {
        match request {
            Request::Find(name) => self.finds.push((name, caller)),
            Request::Read(cmd) => self.add_command(cmd, false, caller),
            Request::Write(cmd) => self.add_command(cmd, true, caller),
            Request::Replace(replacement) => self.replacements.push((replacement, caller)),
        }
    }

    fn add_command(&mut self, cmd: Cmd, writes: bool, caller: Caller) {
        self.commands.push((Command { cmd, writes }, caller));
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len() + self.finds.len() + self.replacements.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves out what nobody waits for any more.
    pub(super) fn forget_abandoned(&mut self) {
        self.commands.retain(|(_, caller)| !caller.is_closed());
        self.finds.retain(|(_, caller)| !caller.is_closed());
        self.replacements.retain(|(_, caller)| !caller.is_closed());
    }

    /// Gives each caller its request back.
    pub(super) fn hand_back(&mut self) {
        let commands = self.commands.drain(..).map(|(command, caller)| {
            let request = match command.writes {
                true => Request::Write(command.cmd),
                false => Request::Read(command.cmd),
            };
            (request, caller)
        });
        let finds = self.finds.drain(..);
        let finds = finds.map(|(name, caller)| (Request::Find(name), caller));
        let replacements = self.replacements.drain(..);
        let replacements =
            replacements.map(|(replacement, caller)| (Request::Replace(replacement), caller));
        for (request, caller) in commands.chain(finds).chain(replacements) {
            // One that has gone away needs it no more.
            let _ = caller.send(Said::Unsent(Box::new(request)));
        }
    }

    /// Sends all of it, and hands the answers out. With `wait`, writes are waited for.
    pub(super) async fn deliver(&mut self, server: &Server, replace: &Replace, wait: Option<&Cmd>) {
        let by_digest = |some: &[Replacing]| replace.by_digest(terms(some), only(some));
        let mut forgotten = self.send(server, wait, by_digest).await;
        if !forgotten.is_empty() {
            let by_text = |some: &[Replacing]| replace.by_text(terms(some), only(some));
            let forgotten = Box::pin(forgotten.send(server, wait, by_text)).await;
            debug_assert!(forgotten.is_empty(), "a script that is sent along is known");
        }
    }

    /// Gives back what a server that forgot the script did nothing of.
    async fn send(
        &mut self,
        server: &Server,
        wait: Option<&Cmd>,
        script: impl Fn(&[Replacing]) -> Cmd,
    ) -> Self {
        let wait = wait.filter(|_| self.writes());
        let pipeline = self.pipeline(script, wait);
        match server.commands(&pipeline).await {
            Ok(mut replies) => {
                let waited = wait.and_then(|_| replies.pop()).map(Arc::new);
                self.hand_out(replies.into_iter(), waited.as_ref())
            }
            Err(failure) => {
                self.fail(&failure);
                Self::default()
            }
        }
    }

    fn writes(&self) -> bool {
        !self.replacements.is_empty() || self.commands.iter().any(|(command, _)| command.writes)
    }

    fn pipeline(&mut self, script: impl Fn(&[Replacing]) -> Cmd, wait: Option<&Cmd>) -> Pipeline {
        let (finds, replacements) = (self.finds.len(), self.replacements.len());
        let groups = 2 * finds.div_ceil(TOGETHER) + replacements.div_ceil(TOGETHER);
        let mut pipeline = Pipeline::with_capacity(self.commands.len() + groups + 1);
        for (command, _) in &mut self.commands {
            pipeline.add_command(std::mem::take(&mut command.cmd));
        }
        for some in self.finds.chunks(TOGETHER) {
            if some.len() > 1 {
                pipeline.add_command(ended::get_many(some.iter().map(|(name, _)| &**name)));
            }
            pipeline.add_command(ended::get(&some[0].0));
        }
        self.replacements.sort_by_key(|(one, _)| one.terms());
        let mut rest = &self.replacements[..];
        while let Some((some, others)) = split(rest) {
            pipeline.add_command(script(some));
            rest = others;
        }
        if let Some(wait) = wait {
            pipeline.add_command(wait.clone());
        }
        pipeline
    }

    fn hand_out(
        &mut self,
        mut replies: impl Iterator<Item = Replied>,
        waited: Option<&Arc<Replied>>,
    ) -> Self {
        for ((command, caller), reply) in self.commands.drain(..).zip(&mut replies) {
            answer(caller, reply, waited.filter(|_| command.writes));
        }
        let mut finds = self.finds.drain(..);
        while finds.len() > 0 {
            let some = finds.len().min(TOGETHER);
            let found = found(&mut replies, some);
            let callers = finds.by_ref().take(some).map(|(_, caller)| caller);
            answer_each(callers, found, None);
        }
        let mut forgotten = Self::default();
        let mut replacements = self.replacements.drain(..);
        while let Some((some, _)) = split(replacements.as_slice()) {
            let some = some.len();
            let replaced = next(&mut replies).and_then(|reply| Replace::replies(reply, some));
            let group = replacements.by_ref().take(some);
            match replaced {
                Err(failure) if failure.is_script_unknown() => {
                    forgotten.replacements.extend(group);
                }
                replaced => answer_each(group.map(|(_, caller)| caller), replaced, waited),
            }
        }
        forgotten
    }

    fn fail(&mut self, failure: &Failure) {
        let commands = self.commands.drain(..).map(|(_, caller)| caller);
        let finds = self.finds.drain(..).map(|(_, caller)| caller);
        let replacements = self.replacements.drain(..).map(|(_, caller)| caller);
        for caller in commands.chain(finds).chain(replacements) {
            answer(caller, Err(failure.clone()), None);
        }
    }
}

/// Those in front that one run of the script replaces, and the others. They are sorted by their terms.
fn split(replacements: &[Replacing]) -> Option<(&[Replacing], &[Replacing])> {
    let (first, _) = replacements.first()?;
    let alike = |(other, _): &Replacing| other.terms() == first.terms();
    let n = replacements.iter().take(TOGETHER).take_while(|r| alike(r));
    Some(replacements.split_at(n.count()))
}

fn terms(alike: &[Replacing]) -> Terms {
    alike[0].0.terms()
}

fn only(replacements: &[Replacing]) -> impl ExactSizeIterator<Item = &Replacement> + Clone {
    replacements.iter().map(|(replacement, _)| replacement)
}

/// What the commands that read so many records found.
fn found(replies: &mut impl Iterator<Item = Replied>, n: usize) -> Result<Vec<Replied>, Failure> {
    if n == 1 {
        return Ok(vec![next(replies)]);
    }
    let (values, probe) = (next(replies)?, next(replies));
    ended::ran(probe)?;
    match values {
        Value::Array(values) if values.len() == n => Ok(values.into_iter().map(Ok).collect()),
        _ => Err(Failure::maybe(io_error(
            "the server answered otherwise than it does",
        ))),
    }
}

fn next(replies: &mut impl Iterator<Item = Replied>) -> Replied {
    let missing = || Err(Failure::maybe(io_error("there are too few replies")));
    replies.next().unwrap_or_else(missing)
}

fn answer_each(
    callers: impl Iterator<Item = Caller>,
    replies: Result<Vec<Replied>, Failure>,
    waited: Option<&Arc<Replied>>,
) {
    match replies {
        Ok(replies) => {
            for (caller, reply) in callers.zip(replies) {
                answer(caller, reply, waited);
            }
        }
        Err(failure) => {
            for caller in callers {
                answer(caller, Err(failure.clone()), None);
            }
        }
    }
}

/// A caller that has gone away meanwhile needs none.
fn answer(caller: Caller, reply: Replied, waited: Option<&Arc<Replied>>) {
    let wait = waited.cloned();
    let _ = caller.send(Said::Answer(reply.map(|reply| Answer { reply, wait })));
}
