//! What was written down of one key, put together from the files of all processes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    clock::{MILLISECOND, Nanos},
    event::{
        Action, Call, Digest, Ending, Event, Fault, Id, Line, Phase, Reply, Summary, Told, Ver,
        Work,
    },
    journal,
    key::{KeyId, LEASE},
};

/// When a process gives up a call that nobody answers: the policy's `call_timeout`.
const CALL_TIMEOUT: Nanos = (LEASE.as_millis() as Nanos / 3) * MILLISECOND;

/// All histories of a run, by key.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    pub(crate) keys: HashMap<KeyId, History>,
    /// Panics that were not part of the plan.
    pub(crate) panics: Vec<Nanos>,
    pub(crate) lives: Lives,
}

/// What is known of the processes, by their numbers.
pub(crate) type Lives = HashMap<u32, Life>;

/// The life of one process.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// When it showed that it lives.
    pub(crate) beats: Vec<Nanos>,
    /// When it had nothing to store any more, at its end.
    pub(crate) drained: Option<Nanos>,
    /// Its writes, in the order in which they ended.
    pub(crate) writes: Vec<Attempt>,
}

/// A write, to whichever key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// When it was answered, or given up if it never was: nobody notices before.
    pub(crate) ended: Nanos,
    pub(crate) how: Ended,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was applied.
    Applied,
    /// Something else was there.
    Refused,
    /// There was no room for it.
    Full,
    /// The store was away.
    Failed,
}

impl Ended {
    fn with(reply: Reply) -> Self {
        match reply {
            Reply::Applied => Self::Applied,
            Reply::Failed(Fault::Full) => Self::Full,
            Reply::Failed(Fault::Unavailable | Fault::Unknown) => Self::Failed,
            Reply::Found(_) | Reply::Vacant | Reply::Failed(_) => Self::Refused,
        }
    }
}

impl Life {
    /// Without a beat for so long, it was paused, killed or starved.
    const SILENCE: Nanos = 150 * MILLISECOND;

    /// Whether it was alive all the time between these two moments.
    pub(crate) fn is_alive(&self, from: Nanos, to: Nanos) -> bool {
        let beats = self.beats.iter().copied();
        let mut last = from;
        for beat in beats.filter(|beat| (from..to).contains(beat)).chain([to]) {
            if beat - last > Self::SILENCE {
                return false;
            }
            last = beat;
        }
        true
    }
}

/// The life of one key.
#[derive(Debug, Default, Clone)]
pub(crate) struct History {
    pub(crate) questions: Vec<Question>,
    pub(crate) calls: Vec<StoreCall>,
    pub(crate) works: Vec<WorkSpan>,
}

impl History {
    /// The tokens that the executions claimed with. A claim that has to begin again draws another one:
    /// the last one counts.
    pub(crate) fn tokens(&self) -> HashMap<Id, u64> {
        let claims = self.calls.iter().filter_map(|call| match call.what {
            Call::Create { record, .. } | Call::Update { record, .. } => {
                let is_in_flight = matches!(record.state, Phase::InFlight { .. });
                is_in_flight.then_some((call.by?, record.ver.0))
            }
            _ => None,
        });
        claims.collect()
    }

    /// Whether somebody saw this version, or its writer was told that it stands.
    pub(crate) fn stands(&self, ver: Ver) -> bool {
        self.calls.iter().any(|call| match (call.what, call.reply) {
            (_, Some((_, Reply::Found(seen)))) => seen.record.ver == ver,
            (Call::Create { record, .. } | Call::Update { record, .. }, Some((_, reply))) => {
                record.ver == ver && reply == Reply::Applied
            }
            _ => false,
        })
    }
}

/// What a client asked, and what it was told if it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) id: Id,
    pub(crate) what: Action,
    pub(crate) asked: Nanos,
    pub(crate) told: Option<(Nanos, Told)>,
}

impl Question {
    /// Whether the client cannot know what became of it.
    pub(crate) fn is_unknown(&self) -> bool {
        match self.told {
            None | Some((_, Told::Gone | Told::Pending | Told::Failed(Fault::Unknown))) => true,
            Some(_) => false,
        }
    }
}

/// A call on the store, and its reply if there was one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreCall {
    pub(crate) by: Option<Id>,
    pub(crate) what: Call,
    pub(crate) sent: Nanos,
    pub(crate) reply: Option<(Nanos, Reply)>,
}

impl StoreCall {
    /// The version that a claim takes over from and the record that it writes, if this is a take-over.
    pub(crate) fn takes_over(&self) -> Option<(Ver, Summary)> {
        match self.what {
            Call::Update {
                expected, record, ..
            } if expected.0 != record.ver.0 && matches!(record.state, Phase::InFlight { .. }) => {
                Some((expected, record))
            }
            _ => None,
        }
    }
}

/// When an execution was at work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkSpan {
    pub(crate) execution: Id,
    pub(crate) attempt: u32,
    pub(crate) request: u8,
    pub(crate) start: Nanos,
    pub(crate) effect: Option<Digest>,
    /// When it stopped, and how it was to be ended; never, if its process was killed.
    pub(crate) stop: Option<(Nanos, Option<Ending>)>,
}

impl Histories {
    /// Reads the history of every process in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut histories = Self::default();
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name.starts_with("history-"))
            })
            .collect();
        files.sort();
        for file in files {
            let mut reading = Reading {
                process: process(&file),
                ..Reading::default()
            };
            journal::read(&file, |line| histories.add(&mut reading, line))?;
            histories.unanswered(reading);
        }
        for life in histories.lives.values_mut() {
            life.writes.sort_by_key(|attempt| attempt.ended);
        }
        Ok(histories)
    }

    fn add(&mut self, open: &mut Reading, Line(at, event): Line) {
        match event {
            Event::Ask { id, key, what } => {
                let questions = &mut self.keys.entry(key).or_default().questions;
                open.questions.insert(id, (key, questions.len()));
                questions.push(Question {
                    id,
                    what,
                    asked: at,
                    told: None,
                });
            }
            Event::Told { id, answer } => {
                if let Some((key, place)) = open.questions.remove(&id) {
                    self.of(key).questions[place].told = Some((at, answer));
                }
            }
            Event::Call { id, by, key, what } => {
                let calls = &mut self.keys.entry(key).or_default().calls;
                open.calls.insert(id, (key, calls.len()));
                calls.push(StoreCall {
                    by,
                    what,
                    sent: at,
                    reply: None,
                });
            }
            Event::Reply { id, reply } => {
                if let Some((key, place)) = open.calls.remove(&id) {
                    let call = &mut self.of(key).calls[place];
                    call.reply = Some((at, reply));
                    if !matches!(call.what, Call::Get) {
                        let life = self.lives.entry(open.process).or_default();
                        life.writes.push(Attempt {
                            ended: at,
                            how: Ended::with(reply),
                        });
                    }
                }
            }
            Event::Beat => self.lives.entry(open.process).or_default().beats.push(at),
            Event::Drained => {
                self.lives.entry(open.process).or_default().drained = Some(at);
            }
            Event::Work {
                execution,
                key,
                what,
            } => self.work(open, at, execution, key, what),
            Event::Panicked { .. } => self.panics.push(at),
        }
    }

    fn work(&mut self, open: &mut Reading, at: Nanos, execution: Id, key: KeyId, what: Work) {
        let works = &mut self.keys.entry(key).or_default().works;
        if let Work::Start { attempt, request } = what {
            open.works.insert(execution, works.len());
            works.push(WorkSpan {
                execution,
                attempt,
                request,
                start: at,
                effect: None,
                stop: None,
            });
            return;
        }
        let Some(span) = open.works.get(&execution).and_then(|at| works.get_mut(*at)) else {
            return;
        };
        match what {
            Work::Effect { payload } => span.effect = Some(payload),
            Work::Stop { ending } => span.stop = Some((at, ending)),
            Work::Start { .. } => {}
        }
    }

    /// Takes note of the writes of a process that were never answered.
    fn unanswered(&mut self, open: Reading) {
        for (key, place) in open.calls.into_values() {
            let call = self.of(key).calls[place];
            if !matches!(call.what, Call::Get) {
                let life = self.lives.entry(open.process).or_default();
                life.writes.push(Attempt {
                    ended: call.sent + CALL_TIMEOUT,
                    how: Ended::Failed,
                });
            }
        }
    }

    fn of(&mut self, key: KeyId) -> &mut History {
        self.keys.entry(key).or_default()
    }
}

/// The number of the process that wrote a file.
fn process(file: &Path) -> u32 {
    let name = file.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix("history-")?.parse().ok());
    number.unwrap_or_default()
}

/// What is open in one file: where the question, call or work is that a later line belongs to.
#[derive(Default)]
struct Reading {
    process: u32,
    questions: HashMap<Id, (KeyId, usize)>,
    calls: HashMap<Id, (KeyId, usize)>,
    works: HashMap<Id, usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId { era: 0, index: 0 };

    fn read(lines: &[Event]) -> History {
        let (mut histories, mut open) = (Histories::default(), Reading::default());
        for (at, event) in lines.iter().enumerate() {
            histories.add(&mut open, Line(at as u64, *event));
        }
        histories.keys.remove(&KEY).unwrap()
    }

    #[test]
    fn answers_find_their_questions_and_what_has_none_stays_open() {
        let ask = |id| Event::Ask {
            id,
            key: KEY,
            what: Action::Lookup,
        };
        let history = read(&[
            ask(1),
            ask(2),
            Event::Told {
                id: 2,
                answer: Told::Mismatch,
            },
            Event::Call {
                id: 3,
                by: Some(2),
                key: KEY,
                what: Call::Delete {
                    expected: Ver(1, 1),
                },
            },
        ]);
        assert_eq!(history.questions[0].told, None);
        assert_eq!(history.questions[1].told, Some((2, Told::Mismatch)));
        assert_eq!(history.calls[0].by, Some(2));
        assert_eq!(history.calls[0].reply, None);
    }

    #[test]
    fn work_has_a_start_an_effect_and_a_stop() {
        let work = |what| Event::Work {
            execution: 9,
            key: KEY,
            what,
        };
        let history = read(&[
            work(Work::Start {
                attempt: 2,
                request: 1,
            }),
            work(Work::Effect { payload: 5 }),
            work(Work::Stop { ending: None }),
        ]);
        let span = history.works[0];
        assert_eq!((span.start, span.attempt, span.request), (0, 2, 1));
        assert_eq!((span.effect, span.stop), (Some(5), Some((2, None))));
    }
}
