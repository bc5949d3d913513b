//! Random commands, ages and faults. The model below knows the promises, not the machine: it
//! keeps its own account of who may run, and holds every answer against it.

use proptest::prelude::*;

use super::*;
use crate::{State, Updated, Version};

const RETENTION: Duration = Duration::from_secs(100);
const WORKERS: usize = 3;

#[derive(Debug, Clone)]
enum Command {
    Claim {
        worker: usize,
        print: u8,
        reply_lost: bool,
    },
    Step {
        worker: usize,
        checkpoint: bool,
        reply_lost: bool,
    },
    End {
        worker: usize,
        ending: u8,
        reply_lost: bool,
    },
    Release {
        worker: usize,
    },
    Crash {
        worker: usize,
    },
    Pass {
        seconds: u64,
    },
}

fn command() -> impl Strategy<Value = Command> {
    let worker = || 0..WORKERS;
    let lost = || proptest::bool::weighted(0.3);
    prop_oneof![
        4 => (worker(), 0u8..2, lost())
            .prop_map(|(worker, print, reply_lost)| Command::Claim { worker, print, reply_lost }),
        2 => (worker(), any::<bool>(), lost())
            .prop_map(|(worker, checkpoint, reply_lost)| Command::Step { worker, checkpoint, reply_lost }),
        2 => (worker(), 0u8..3, lost())
            .prop_map(|(worker, ending, reply_lost)| Command::End { worker, ending, reply_lost }),
        1 => worker().prop_map(|worker| Command::Release { worker }),
        1 => worker().prop_map(|worker| Command::Crash { worker }),
        3 => (1u64..60).prop_map(|seconds| Command::Pass { seconds }),
    ]
}

/// One key in a store that keeps the rules, and the account of what it may have in it.
#[derive(Default)]
struct World {
    time: Duration,
    entry: Option<Entry>,
    workers: [Option<Holding>; WORKERS],
    tokens: u8,
    /// Who runs, and since when nothing was heard of it, by the store's clock.
    running: Option<(usize, Duration)>,
    /// The ending that was stored, until its retention is over.
    ending: Option<(State, Duration)>,
}

struct Entry {
    record: Record,
    written: Duration,
    expires: Duration,
}

impl World {
    fn stored(&self) -> Option<Stored> {
        let entry = self
            .entry
            .as_ref()
            .filter(|entry| self.time < entry.expires)?;
        Some(stored(entry.record.clone(), self.time - entry.written))
    }

    fn put(&mut self, record: Record) {
        let expires = self.time + ttl(&record.state, RETENTION);
        self.entry = Some(Entry {
            record,
            written: self.time,
            expires,
        });
    }

    fn create(&mut self, record: &Record) -> Option<Stored> {
        let found = self.stored();
        if found.is_none() {
            self.put(record.clone());
        }
        found
    }

    fn update(&mut self, write: &Write) -> Updated {
        match self.stored() {
            Some(found) if found.record.version == write.expected => {
                self.put(write.record.clone());
                Updated::Done
            }
            found => Updated::Conflict(found),
        }
    }

    /// Sends a holder's write, again when its reply is lost, and follows conflicts to the end.
    fn deliver(&mut self, worker: usize, mut write: Write, reply_lost: bool) -> Option<Record> {
        let mut reply = self.update(&write);
        if reply_lost {
            reply = self.update(&write);
        }
        loop {
            let Updated::Conflict(found) = reply else {
                return Some(write.record);
            };
            let holding = self.workers[worker].as_mut().unwrap();
            match holding.settle(&write, found.as_ref()) {
                Settled::Landed => return Some(write.record),
                Settled::Again(again) => write = again,
                Settled::Superseded => return None,
            }
            reply = self.update(&write);
        }
    }

    fn claim(&mut self, worker: usize, print: u8, reply_lost: bool) {
        self.tokens += 1;
        let mut request = request(self.tokens, print);
        let before = self.stored();
        let mut record = first(&mut request);
        let mut found = self.create(&record);
        if reply_lost {
            record = first(&mut request);
            found = self.create(&record);
        }
        let Some(found) = found else {
            return self.acquire(worker, record);
        };
        match decide(&mut request, &found) {
            Decision::Own => self.acquire(worker, found.record),
            Decision::TakeOver(write) => {
                assert_eq!(found.record.fingerprint, request.fingerprint, "G4");
                assert_eq!(self.update(&write), Updated::Done, "nobody came between");
                if reply_lost {
                    let Updated::Conflict(Some(again)) = self.update(&write) else {
                        panic!("a write is applied once");
                    };
                    assert_eq!(decide(&mut request, &again), Decision::Own, "G5");
                }
                self.acquire(worker, write.record);
            }
            Decision::Mismatch => {
                assert_ne!(found.record.fingerprint, request.fingerprint);
                assert_eq!(self.stored(), before, "G4: a mismatch changes nothing");
            }
            Decision::Replay(payload) => {
                assert_eq!(
                    self.ending.as_ref().unwrap().0,
                    State::Completed { payload },
                    "G2"
                );
            }
            Decision::ReplayFailure(payload) => {
                assert_eq!(
                    self.ending.as_ref().unwrap().0,
                    State::Failed { payload },
                    "G2"
                );
            }
            Decision::Busy { .. } => {
                assert!(
                    self.running.is_some(),
                    "busy means that somebody claimed it"
                );
            }
            Decision::Abandoned { .. } | Decision::Exhausted { .. } => {
                unreachable!("not asked for")
            }
        }
    }

    fn acquire(&mut self, worker: usize, record: Record) {
        if let Some((_, heard)) = self.running {
            assert!(
                self.time - heard >= LEASE,
                "G1: two live executions within one lease"
            );
        }
        if let Some((_, until)) = &self.ending {
            assert!(
                self.time >= *until,
                "G2: it ran again although an ending is stored"
            );
        }
        self.ending = None;
        self.running = Some((worker, self.time));
        self.workers[worker] = Some(Holding::new(record));
    }

    fn step(&mut self, worker: usize, checkpoint: bool, reply_lost: bool) {
        let Some(holding) = &mut self.workers[worker] else {
            return;
        };
        let step = if checkpoint {
            Step::Checkpoint(bytes("half"))
        } else {
            Step::Renew
        };
        let (write, before) = (holding.step(step), self.stored());
        match self.deliver(worker, write.clone(), reply_lost) {
            Some(record) => {
                self.expect_in_charge(worker);
                self.running = Some((worker, self.time));
                self.workers[worker]
                    .as_mut()
                    .unwrap()
                    .wrote(Write { record, ..write });
            }
            None => self.expect_superseded(worker, before.as_ref()),
        }
    }

    fn end(&mut self, worker: usize, ending: u8, reply_lost: bool) {
        let Some(holding) = &mut self.workers[worker] else {
            return;
        };
        let payload = Bytes::from(vec![ending, worker as u8, self.tokens]);
        let ending = match ending {
            0 => Ending::Complete(payload),
            1 => Ending::Fail(payload),
            _ => Ending::Retry,
        };
        let (write, before) = (holding.end(ending), self.stored());
        match self.deliver(worker, write, reply_lost) {
            Some(record) => {
                self.expect_in_charge(worker);
                self.running = None;
                self.workers[worker] = None;
                if record.state.is_final() {
                    self.ending = Some((record.state, self.time + RETENTION));
                }
            }
            None => self.expect_superseded(worker, before.as_ref()),
        }
    }

    fn release(&mut self, worker: usize) {
        let before = self.stored();
        let Some(holding) = &mut self.workers[worker] else {
            return;
        };
        let version: Version = holding.record().version;
        match &before {
            Some(found) if found.record.version == version => {
                self.entry = None;
                self.expect_in_charge(worker);
                self.running = None;
                self.workers[worker] = None;
            }
            found => {
                assert!(
                    !holding.still_owns(found.as_ref()),
                    "no write of its own went unnoticed"
                );
                self.expect_superseded(worker, before.as_ref());
            }
        }
    }

    fn expect_in_charge(&self, worker: usize) {
        assert_eq!(
            self.running.map(|(who, _)| who),
            Some(worker),
            "G3: a superseded write landed"
        );
    }

    /// G3: whoever is superseded was replaced, or its record is gone; and it changed nothing.
    fn expect_superseded(&mut self, worker: usize, before: Option<&Stored>) {
        let gone = before.is_none();
        let replaced = self.running.map(|(who, _)| who) != Some(worker);
        assert!(
            gone || replaced,
            "the holder in charge was told that it is superseded"
        );
        assert_eq!(
            self.stored().as_ref(),
            before,
            "G3: a superseded write changed the record"
        );
        self.workers[worker] = None;
        if gone && !replaced {
            self.running = None;
        }
    }

    fn run(&mut self, command: &Command) {
        match *command {
            Command::Claim { worker, .. } if self.workers[worker].is_some() => {}
            Command::Claim {
                worker,
                print,
                reply_lost,
            } => self.claim(worker, print, reply_lost),
            Command::Step {
                worker,
                checkpoint,
                reply_lost,
            } => {
                self.step(worker, checkpoint, reply_lost);
            }
            Command::End {
                worker,
                ending,
                reply_lost,
            } => self.end(worker, ending, reply_lost),
            Command::Release { worker } => self.release(worker),
            Command::Crash { worker } => self.workers[worker] = None,
            Command::Pass { seconds } => self.time += Duration::from_secs(seconds),
        }
        if let Some((ending, until)) = &self.ending
            && self.time < *until
        {
            let found = self.stored().map(|found| found.record.state);
            assert_eq!(found.as_ref(), Some(ending), "G2: the first ending wins");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn g1_to_g5_hold_in_every_history(commands in proptest::collection::vec(command(), 1..60)) {
        let mut world = World::default();
        for command in &commands {
            world.run(command);
        }
    }
}
