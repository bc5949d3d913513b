//! [`Load`]: many callers' requests as few commands, and whose reply is whose.

use std::sync::Arc;

use redis::{Cmd, Pipeline};
use tokio::sync::oneshot;

use super::{
    Answer, Request,
    queue::{Queued, Said},
};
use crate::{
    connection::{Replied, Server},
    error::Failure,
    scripts::{Replace, Replacement},
};

/// Records that one run of the script replaces at most: meanwhile the server does nothing else.
const TOGETHER: usize = 64;

/// Where an answer goes.
pub(super) type Caller = oneshot::Sender<Said>;

/// Requests that travel together.
#[derive(Default)]
pub(super) struct Load {
    /// The commands that stand for one caller each.
    commands: Pipeline,
    /// Whose they are, and whether they write.
    callers: Vec<(Caller, bool)>,
    groups: Vec<Group>,
}

/// Records that one run of the script replaces.
#[derive(Default)]
struct Group {
    replacements: Vec<Replacement>,
    callers: Vec<Caller>,
}

impl Load {
    pub(super) fn of(queued: impl ExactSizeIterator<Item = Queued>) -> Self {
        let mut load = Self {
            commands: Pipeline::with_capacity(queued.len() + 1),
            callers: Vec::with_capacity(queued.len()),
            groups: Vec::new(),
        };
        for Queued { request, caller } in queued {
            match request {
                Request::Read(cmd) => load.add(cmd, caller, false),
                Request::Write(cmd) => load.add(cmd, caller, true),
                Request::Replace(replacement) => load.replace(replacement, caller),
            }
        }
        load
    }

    fn add(&mut self, cmd: Cmd, caller: Caller, writes: bool) {
        self.commands.add_command(cmd);
        self.callers.push((caller, writes));
    }

    fn replace(&mut self, replacement: Replacement, caller: Caller) {
        match self.groups.last_mut() {
            Some(group) if group.callers.len() < TOGETHER => group.push(replacement, caller),
            _ => self.groups.push(Group {
                replacements: vec![replacement],
                callers: vec![caller],
            }),
        }
    }

    /// Sends all of it, and hands the answers out. With `wait`, writes are waited for.
    pub(super) async fn deliver(self, server: &Server, replace: &Replace, wait: Option<&Cmd>) {
        let forgotten = self
            .send(server, wait, |some| replace.by_digest(some))
            .await;
        if !forgotten.groups.is_empty() {
            let teaching = Box::pin(forgotten.send(server, wait, |some| replace.by_text(some)));
            let forgotten = teaching.await.groups;
            debug_assert!(forgotten.is_empty(), "a script that is sent along is known");
        }
    }

    /// Gives back what a server that forgot the script did nothing of.
    async fn send(
        mut self,
        server: &Server,
        wait: Option<&Cmd>,
        script: impl Fn(&[Replacement]) -> Cmd,
    ) -> Self {
        for group in &self.groups {
            self.commands.add_command(script(&group.replacements));
        }
        let wait = wait.filter(|_| self.writes());
        if let Some(wait) = wait {
            self.commands.add_command(wait.clone());
        }
        match server.commands(&self.commands).await {
            Ok(mut replies) => {
                let waited = wait.and_then(|_| replies.pop()).map(Arc::new);
                self.hand_out(replies, waited.as_ref())
            }
            Err(failure) => {
                self.fail(&failure);
                Self::default()
            }
        }
    }

    fn writes(&self) -> bool {
        !self.groups.is_empty() || self.callers.iter().any(|(_, writes)| *writes)
    }

    fn hand_out(self, replies: Vec<Replied>, waited: Option<&Arc<Replied>>) -> Self {
        let mut replies = replies.into_iter();
        for ((caller, writes), reply) in self.callers.into_iter().zip(&mut replies) {
            answer(caller, reply, waited.filter(|_| writes));
        }
        let mut forgotten = Self::default();
        for (group, reply) in self.groups.into_iter().zip(replies) {
            match reply {
                Err(failure) if failure.is_script_unknown() => forgotten.groups.push(group),
                reply => group.hand_out(reply, waited),
            }
        }
        forgotten
    }

    fn fail(self, failure: &Failure) {
        let groups = self.groups.into_iter().flat_map(|group| group.callers);
        let callers = self.callers.into_iter().map(|(caller, _)| caller);
        for caller in callers.chain(groups) {
            answer(caller, Err(failure.clone()), None);
        }
    }
}

impl Group {
    fn push(&mut self, replacement: Replacement, caller: Caller) {
        self.replacements.push(replacement);
        self.callers.push(caller);
    }

    fn hand_out(self, reply: Replied, waited: Option<&Arc<Replied>>) {
        let replies = reply.and_then(|reply| Replace::replies(reply, self.callers.len()));
        match replies {
            Ok(replies) => {
                for (caller, reply) in self.callers.into_iter().zip(replies) {
                    answer(caller, reply, waited);
                }
            }
            Err(failure) => {
                for caller in self.callers {
                    answer(caller, Err(failure.clone()), None);
                }
            }
        }
    }
}

/// A caller that has gone away meanwhile needs none.
fn answer(caller: Caller, reply: Replied, waited: Option<&Arc<Replied>>) {
    let wait = waited.cloned();
    let _ = caller.send(Said::Answer(reply.map(|reply| Answer { reply, wait })));
}
