//! Random commands, ages and faults. The model below knows the promises, not the machine: it
//! keeps its own account of who may run, and holds every answer against it.

use proptest::prelude::*;

use super::*;

const RETENTION: Duration = Duration::from_secs(100);
const KEPT: Retention = Retention {
    failures: RETENTION,
    others: RETENTION,
};
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
        3 => (worker(), 0u8..4, lost())
            .prop_map(|(worker, ending, reply_lost)| Command::End { worker, ending, reply_lost }),
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
        let expires = self.time + ttl(&record.state, KEPT, LapsedRule::Reclaim);
        self.entry = Some(Entry {
            record,
            written: self.time,
            expires,
        });
    }

    /// The store: four conditional writes.
    fn apply(&mut self, op: Op<'_>) -> Reply {
        let found = self.stored();
        let version = found.as_ref().map(|found| found.record.version);
        let (applies, after) = match op {
            Op::Create(record) => (version.is_none(), Some(record)),
            Op::Update(write) => (version == Some(write.expected), Some(&write.record)),
            Op::Delete(expected) => (version == Some(expected), None),
            Op::Get | Op::Probe(_) => (false, None),
        };
        match (applies, after) {
            (false, _) => return Reply::Found(found),
            (true, Some(record)) => self.put(record.clone()),
            (true, None) => self.entry = None,
        }
        Reply::Applied
    }

    /// Sends what a holder wants, again when its reply is lost, and follows it to the end.
    fn drive(&mut self, worker: usize, want: Want, mut reply_lost: bool) -> Held {
        let mut holding = self.workers[worker].take().unwrap();
        if holding.want(want).is_err() {
            return Held::Superseded;
        }
        loop {
            let reply = self.apply(holding.next().unwrap());
            let reply = match std::mem::take(&mut reply_lost) {
                true => Reply::Failed(StoreErrorKind::Unknown),
                false => reply,
            };
            match holding.on_reply(reply) {
                Held::Again | Held::Later => {}
                held => {
                    self.workers[worker] = (held == Held::Kept).then_some(holding);
                    return held;
                }
            }
        }
    }

    fn claim(&mut self, worker: usize, print: u8, mut reply_lost: bool) {
        self.tokens += 1;
        let mut claiming = claiming(self.tokens, print);
        let before = self.stored();
        let print = Fingerprint::from_bytes([print; 32]);
        let same = before.as_ref().map(|b| b.record.fingerprint == print);
        let released = |b: &Stored| b.record.state == State::Released;
        let is_free = before.as_ref().is_some_and(released);
        let attempt = before.as_ref().map_or(0, |b| b.record.attempt);
        loop {
            let reply = self.apply(claiming.next());
            let reply = match std::mem::take(&mut reply_lost) {
                true => Reply::Failed(StoreErrorKind::Unknown),
                false => reply,
            };
            let ending = || self.ending.as_ref().map(|(state, _)| state.clone());
            match claiming.on_reply(reply, NO_GRACE) {
                Claimed::Again | Claimed::Later => continue,
                Claimed::Own(holding) => {
                    assert!(same != Some(false) || is_free, "G4: another request runs");
                    assert_eq!(holding.record().fingerprint, print, "G4");
                    let next = holding.record().attempt;
                    assert_eq!(next, attempt + 1, "fencing numbers grow");
                    self.acquire(worker, holding);
                }
                Claimed::Replay(payload) => {
                    assert_eq!(ending(), Some(State::Completed { payload }), "G2");
                }
                Claimed::ReplayFailure(payload) => {
                    assert_eq!(ending(), Some(State::Failed { payload }), "G2");
                }
                Claimed::Refused(Refused::Mismatch) => {
                    assert!(same == Some(false) && !is_free, "G4");
                    assert_eq!(self.stored(), before, "G4: a mismatch changes nothing");
                }
                Claimed::Refused(Refused::InFlight { .. }) => {
                    assert!(self.running.is_some(), "somebody claimed it");
                }
                Claimed::Refused(other) => unreachable!("not asked for: {other:?}"),
            }
            return;
        }
    }

    fn acquire(&mut self, worker: usize, holding: Holding) {
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
        self.workers[worker] = Some(holding);
    }

    fn hold(&mut self, worker: usize, want: Want, reply_lost: bool) {
        if self.workers[worker].is_none() {
            return;
        }
        let before = self.stored();
        let held = self.drive(worker, want, reply_lost);
        match held {
            Held::Kept => {
                self.expect_in_charge(worker);
                self.running = Some((worker, self.time));
            }
            Held::Ended(_) => {
                self.expect_in_charge(worker);
                self.running = None;
                if let Some(found) = self.stored().filter(|s| s.record.state.is_final()) {
                    self.ending = Some((found.record.state, self.time + RETENTION));
                }
            }
            Held::Superseded => self.expect_superseded(worker, before.as_ref()),
            Held::Again | Held::Later => unreachable!("it was followed to its end"),
        }
    }

    fn ending(&self, worker: usize, ending: u8) -> Want {
        let payload = Bytes::from(vec![ending, worker as u8, self.tokens]);
        Want::end(match ending {
            0 => Ending::Complete(payload),
            1 => Ending::Fail(payload),
            2 => Ending::Retry,
            _ => Ending::Release,
        })
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
                let want = match checkpoint {
                    true => Want::Checkpoint(bytes("half")),
                    false => Want::Renew,
                };
                self.hold(worker, want, reply_lost);
            }
            Command::End {
                worker,
                ending,
                reply_lost,
            } => self.hold(worker, self.ending(worker, ending), reply_lost),
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
