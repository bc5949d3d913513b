//! Requests as commands of one pipeline, and whose reply is whose.

use std::{collections::HashMap, ops::Range, sync::Arc};

use redis::{Cmd, Pipeline};

use super::{Answer, Answered, Request};
use crate::{
    connection::{Replied, Server},
    error::Failure,
    read,
    scripts::{Replace, Replacement},
};

/// Records that one command reads or replaces at most: meanwhile the server does nothing else.
const TOGETHER: usize = 64;
/// Bytes of new values that one run of the script takes at most. A larger value has a run of its own.
const TOGETHER_BYTES: usize = 64 << 10;

/// How requests become commands.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// One command may name several keys, and so stand for several requests.
    pub(super) combined: bool,
    /// Scripts go as text, which teaches the server.
    pub(super) by_text: bool,
}

/// One or two commands of the pipeline, and which requests they stand for.
enum Part {
    /// One request's own command.
    Write(usize),
    /// These of the names; `MGET` and a `GETEX`, or a `GETEX` if it is one.
    Values(Range<usize>),
    /// The ttl of this name, and the version that it belongs to: `PTTL` and `GETRANGE`.
    Ttl(usize),
    /// These of the replacements.
    Replace(Range<usize>),
}

/// A pipeline that is about to be sent.
pub(super) struct Plan {
    pub(super) pipeline: Pipeline,
    parts: Vec<Part>,
    /// The name that each read asks for, by request.
    reads: Vec<(usize, usize)>,
    names: usize,
    /// The replacements, by request, with those that share a run of the script side by side.
    replacements: Vec<usize>,
    combined: bool,
    waits: bool,
}

/// What became of a pipeline.
pub(super) struct Outcome {
    /// For each request, in their order.
    pub(super) answers: Vec<Answered>,
    /// Requests whose answer is an error to a command that stood for several, or to a script that the
    /// server does not know: nothing of theirs was applied, and they may be sent by themselves.
    pub(super) again: Vec<usize>,
    /// How many values were read, and their bytes.
    pub(super) read: (usize, usize),
}

impl Plan {
    /// Takes the commands out of the requests.
    pub(super) fn new(
        requests: &mut [Request],
        replace: &Replace,
        wait: Option<&Cmd>,
        form: Form,
    ) -> Self {
        let mut plan = Self {
            pipeline: Pipeline::with_capacity(requests.len() + 1),
            parts: Vec::with_capacity(requests.len()),
            reads: Vec::new(),
            names: 0,
            replacements: Vec::new(),
            combined: form.combined,
            waits: false,
        };
        for (index, request) in requests.iter_mut().enumerate() {
            match request {
                Request::Write(cmd) => plan.add(Part::Write(index), std::mem::take(cmd)),
                Request::Replace(_) => plan.replacements.push(index),
                Request::Get(_) | Request::Read(_) => plan.reads.push((index, 0)),
            }
        }
        plan.add_reads(requests, form);
        plan.add_replacements(requests, replace, form);
        let writes = |part: &Part| matches!(part, Part::Write(_) | Part::Replace(_));
        if let Some(wait) = wait.filter(|_| plan.parts.iter().any(writes)) {
            plan.pipeline.add_command(wait.clone());
            plan.waits = true;
        }
        plan
    }

    fn add(&mut self, part: Part, cmd: Cmd) {
        self.parts.push(part);
        self.pipeline.add_command(cmd);
    }

    /// Each name is read once, however many ask for it.
    fn add_reads(&mut self, requests: &[Request], form: Form) {
        let mut names: Vec<(&str, bool)> = Vec::with_capacity(self.reads.len());
        let mut known = HashMap::new();
        for (index, at) in &mut self.reads {
            let (name, wants_ttl) = match &requests[*index] {
                Request::Get(name) => (name, false),
                Request::Read(name) => (name, true),
                Request::Write(_) | Request::Replace(_) => continue,
            };
            *at = *known.entry(&**name).or_insert_with(|| {
                names.push((name, false));
                names.len() - 1
            });
            names[*at].1 |= wants_ttl;
        }
        self.names = names.len();
        let together = if form.combined { TOGETHER } else { 1 };
        for first in (0..names.len()).step_by(together) {
            let some = first..names.len().min(first + together);
            if some.len() > 1 {
                let names = names[some.clone()].iter().map(|(name, _)| *name);
                self.pipeline.add_command(read::values(names));
            }
            self.add(Part::Values(some), read::value(names[first].0));
        }
        for (at, (name, wants_ttl)) in names.into_iter().enumerate() {
            if wants_ttl {
                self.pipeline.add_command(read::ttl(name));
                self.add(Part::Ttl(at), read::version(name));
            }
        }
    }

    fn add_replacements(&mut self, requests: &[Request], replace: &Replace, form: Form) {
        let mut all = std::mem::take(&mut self.replacements);
        let at = |index: usize| match &requests[index] {
            Request::Replace(replacement) => Some(replacement),
            _ => None,
        };
        if form.combined {
            all.sort_by_key(|index| at(*index).map(Replacement::terms));
        }
        let mut first = 0;
        while first < all.len() {
            let terms = at(all[first]).map(Replacement::terms);
            let mut bytes = 0;
            let fits = |index: &&usize| {
                bytes += at(**index).map_or(0, |one| one.value.len());
                at(**index).map(Replacement::terms) == terms && bytes <= TOGETHER_BYTES
            };
            let most = if form.combined { TOGETHER } else { 1 };
            let n = all[first..].iter().take(most).take_while(fits).count();
            let some = first..first + n.max(1);
            let cmd = {
                let some: Vec<_> = all[some.clone()].iter().filter_map(|i| at(*i)).collect();
                replace.command(&some, form.by_text)
            };
            first = some.end;
            self.add(Part::Replace(some), cmd);
        }
        self.replacements = all;
    }

    /// Sends it and hands the replies out. A command that failed goes back to its request.
    /// `record_size` is what a reply to a read may take.
    pub(super) async fn send(
        self,
        server: &Server,
        requests: &mut [Request],
        record_size: usize,
    ) -> Outcome {
        let bytes = requests.iter().map(Request::bytes).sum::<usize>() + self.names * record_size;
        let replies = server.commands(&self.pipeline, bytes).await;
        self.hand_out(replies, requests)
    }

    /// Hands the replies out. With a failure of all, nothing more is known of any request.
    pub(super) fn hand_out(
        self,
        replies: Result<Vec<Replied>, Failure>,
        requests: &mut [Request],
    ) -> Outcome {
        let mut outcome = Outcome::new(requests.len());
        let mut replies = replies.unwrap_or_else(|failure| vec![Err(failure); self.pipeline.len()]);
        let wait = self.waits.then(|| replies.pop().map(Arc::new)).flatten();
        let mut replies = replies.into_iter();
        let mut next = || {
            replies
                .next()
                .unwrap_or_else(|| Err(Failure::missing_reply()))
        };
        let mut cmds = self.pipeline.cmd_iter();
        let (mut values, mut ttls) = (Vec::with_capacity(self.names), HashMap::new());
        for part in self.parts {
            match part {
                Part::Write(index) => {
                    let (reply, cmd) = (next(), cmds.next());
                    if let (Err(_), Some(cmd)) = (&reply, cmd) {
                        requests[index] = Request::Write(cmd.clone());
                    }
                    outcome.answers[index] = wrote(reply, wait.as_ref());
                }
                Part::Values(some) => match some.len() {
                    1 => values.push(read::found(next())),
                    n => values.extend(read::all_found(next(), next(), n)),
                },
                Part::Ttl(name) => {
                    ttls.insert(name, (next(), next()));
                }
                Part::Replace(some) => {
                    let some = &self.replacements[some];
                    let replies = Replace::replies(next(), some.len());
                    let replies = replies.unwrap_or_else(|failure| {
                        if some.len() > 1 || failure.is_script_unknown() {
                            outcome.refused(some, &failure);
                        }
                        vec![Err(failure); some.len()]
                    });
                    for (&index, reply) in some.iter().zip(replies) {
                        outcome.answers[index] = wrote(reply, wait.as_ref());
                    }
                }
            }
        }
        for (index, name) in self.reads {
            let value = values[name].clone();
            if let Ok(Some(value)) = &value {
                outcome.read.0 += 1;
                outcome.read.1 += value.len();
            }
            if let (Err(failure), true) = (&value, self.combined && self.names > 1) {
                outcome.refused(&[index], failure);
            }
            outcome.answers[index] = value.and_then(|value| {
                let ttl = match ttls.get(&name).cloned() {
                    Some((ttl, version)) => read::left(value.as_ref(), ttl, version)?,
                    None => None,
                };
                Ok(Answer::Read { value, ttl })
            });
        }
        outcome
    }
}

impl Outcome {
    fn new(requests: usize) -> Self {
        let mut answers = Vec::with_capacity(requests);
        answers.resize_with(requests, || Err(Failure::missing_reply()));
        Self {
            answers,
            again: Vec::new(),
            read: (0, 0),
        }
    }

    fn refused(&mut self, requests: &[usize], failure: &Failure) {
        if failure.is_script_unknown() || failure.refuses_form() {
            self.again.extend(requests);
        }
    }
}

fn wrote(reply: Replied, wait: Option<&Arc<Replied>>) -> Answered {
    reply.map(|reply| Answer::Wrote {
        reply,
        wait: wait.cloned(),
    })
}
