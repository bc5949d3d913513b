//! The machine, driven by random operations over a network that loses, repeats and delays what is
//! sent. The model below knows the promises and not the machine: it looks at each change of the
//! record, at who believes to be running, and at what arrives of those that are through.
#![no_main]

#[path = "machine/network.rs"]
mod network;

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use idem_core::{
    ClaimToken, Fingerprint, Record, State, Timestamp,
    machine::{
        Decision, Ending, Holding, LapsedRule, Request, Settled, Step, Write, decide, first,
    },
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use network::{Fate, Message, Network};

const LEASE: Duration = Duration::from_secs(30);
const WORKERS: usize = 3;
/// Honest conflicts end sooner.
const ROUNDS: usize = 16;

#[derive(Arbitrary, Debug)]
enum Op {
    Claim {
        worker: u8,
        request: bool,
        halts: bool,
        attempts: u8,
        fate: Fate,
        /// Of what is sent when the first reply did not come.
        again: Fate,
    },
    Renew {
        worker: u8,
        fate: Fate,
    },
    Checkpoint {
        worker: u8,
        left: u8,
        fate: Fate,
    },
    End {
        worker: u8,
        ending: u8,
        fate: Fate,
    },
    Release {
        worker: u8,
        fate: Fate,
    },
    Crash {
        worker: u8,
    },
    Pass {
        seconds: u8,
    },
    /// Something that was sent long ago arrives.
    Arrive {
        which: u8,
    },
}

struct Worker {
    holding: Holding,
    /// When the store last took a write of its.
    heard: Duration,
}

impl Worker {
    fn token(&self) -> ClaimToken {
        self.holding.record().version.token
    }
}

#[derive(Default)]
struct World {
    network: Network,
    workers: [Option<Worker>; WORKERS],
    tokens: u128,
}

fuzz_target!(|ops: Vec<Op>| {
    let mut world = World::default();
    for op in ops {
        world.run(op);
    }
});

impl World {
    fn run(&mut self, op: Op) {
        match op {
            Op::Claim {
                worker,
                request,
                halts,
                attempts,
                fate,
                again,
            } => {
                let worker = usize::from(worker) % WORKERS;
                if self.workers[worker].is_none() {
                    let request = self.request(request, halts, attempts);
                    self.claim(worker, request, [fate, again]);
                }
            }
            Op::Renew { worker, fate } => self.step(worker, Step::Renew, fate),
            Op::Checkpoint { worker, left, fate } => {
                self.step(worker, Step::Checkpoint(Bytes::from(vec![left])), fate);
            }
            Op::End {
                worker,
                ending,
                fate,
            } => self.end(worker, ending, fate),
            Op::Release { worker, fate } => self.release(worker, fate),
            Op::Crash { worker } => self.workers[usize::from(worker) % WORKERS] = None,
            Op::Pass { seconds } => self.network.time += Duration::from_secs(seconds.into()),
            Op::Arrive { which } => self.network.arrive(which),
        }
    }

    fn request(&mut self, request: bool, halts: bool, attempts: u8) -> Request {
        self.tokens += 1;
        Request {
            fingerprint: Fingerprint::of("fuzz", &[request.into()]),
            token: ClaimToken::from_bytes(self.tokens.to_be_bytes()),
            sent: 0,
            created_at: Timestamp::from_millis(0),
            lease: LEASE,
            lapsed: match halts {
                true => LapsedRule::Halt,
                false => LapsedRule::Reclaim,
            },
            max_attempts: NonZeroU32::new(attempts.into()),
        }
    }

    fn claim(&mut self, worker: usize, mut request: Request, [fate, again]: [Fate; 2]) {
        let mut again = again;
        let mut sending = Message::Create(first(&mut request));
        let mut reply = self.network.send(sending.clone(), fate);
        for _ in 0..ROUNDS {
            let found = match reply {
                // No reply: a create goes out under a new revision, anything else unchanged.
                None => {
                    if let Message::Create(record) = &mut sending {
                        *record = first(&mut request);
                    }
                    reply = self.network.send(sending.clone(), again);
                    again = Fate::Done;
                    continue;
                }
                Some(Ok(())) => return self.acquire(worker, claimed(sending), &request),
                Some(Err(None)) => {
                    sending = Message::Create(first(&mut request));
                    reply = self.network.send(sending.clone(), Fate::Done);
                    continue;
                }
                Some(Err(Some(found))) => found,
            };
            let decision = decide(&mut request, &found);
            let same = found.record.fingerprint == request.fingerprint;
            assert!(same || decision == Decision::Mismatch, "G4: {decision:?}");
            match decision {
                Decision::Own => return self.acquire(worker, found.record, &request),
                Decision::TakeOver(write) => {
                    sending = Message::Update(write);
                    reply = self.network.send(sending.clone(), fate);
                }
                Decision::Replay(payload) => {
                    return assert_eq!(found.record.state, State::Completed { payload }, "G2");
                }
                Decision::ReplayFailure(payload) => {
                    return assert_eq!(found.record.state, State::Failed { payload }, "G2");
                }
                Decision::Busy { retry_after } => {
                    return assert_eq!(found.age.map(|age| age + retry_after), Some(LEASE));
                }
                Decision::Abandoned { attempt, .. } => {
                    assert!(request.lapsed == LapsedRule::Halt && found.age >= Some(LEASE));
                    return assert_eq!(attempt, found.record.attempt);
                }
                Decision::Exhausted { attempts } => {
                    assert!(
                        request
                            .max_attempts
                            .is_some_and(|most| attempts >= most.get())
                    );
                    return;
                }
                Decision::Mismatch => return assert!(!same, "G4"),
            }
        }
        panic!("a claim has no end");
    }

    /// G1: whoever else believes to be running was not heard of for a whole lease.
    fn acquire(&mut self, worker: usize, record: Record, request: &Request) {
        for other in self.workers.iter().flatten() {
            assert!(
                self.network.time - other.heard >= LEASE,
                "G1: two live executions"
            );
        }
        self.workers[worker] = Some(Worker {
            holding: Holding::of_claim(record, request.sent),
            heard: self.network.time,
        });
    }

    fn step(&mut self, worker: u8, step: Step, fate: Fate) {
        let index = usize::from(worker) % WORKERS;
        let Some(mut worker) = self.workers[index].take() else {
            return;
        };
        let write = worker.holding.step(step);
        if let Some(written) = self.deliver(&mut worker.holding, write, fate) {
            worker.holding.wrote(written);
            worker.heard = self.network.time;
            self.workers[index] = Some(worker);
        } else {
            self.network.close(worker.token());
        }
    }

    fn end(&mut self, worker: u8, ending: u8, fate: Fate) {
        let Some(mut worker) = self.workers[usize::from(worker) % WORKERS].take() else {
            return;
        };
        // An answer of its own for every execution.
        let payload = Bytes::copy_from_slice(worker.holding.record().version.token.as_bytes());
        let write = worker.holding.end(match ending % 3 {
            0 => Ending::Complete(payload),
            1 => Ending::Fail(payload),
            _ => Ending::Retry,
        });
        let landed = self.deliver(&mut worker.holding, write, fate);
        self.network.close(worker.token());
        if let Some(written) = landed {
            let stored = self.network.stored().map(|stored| stored.record);
            assert_eq!(stored, Some(written.record), "an ending that landed stands");
        }
    }

    fn release(&mut self, worker: u8, fate: Fate) {
        let Some(mut worker) = self.workers[usize::from(worker) % WORKERS].take() else {
            return;
        };
        let mut fate = fate;
        for _ in 0..ROUNDS {
            let version = worker.holding.record().version;
            match self.network.send(Message::Delete(version), fate) {
                Some(Err(found)) if worker.holding.still_owns(found.as_ref()) => {}
                Some(_) => return self.network.close(worker.token()),
                None => {}
            }
            fate = Fate::Done;
        }
        panic!("a release has no end");
    }

    /// Sends a holder's write until it landed; gives nothing when the holder is superseded.
    fn deliver(&mut self, holding: &mut Holding, mut write: Write, fate: Fate) -> Option<Write> {
        let mut fate = fate;
        for _ in 0..ROUNDS {
            match self.network.send(Message::Update(write.clone()), fate) {
                Some(Ok(())) => return Some(write),
                Some(Err(found)) => match holding.settle(&write, found.as_ref()) {
                    Settled::Landed => return Some(write),
                    Settled::Again(again) => write = again,
                    Settled::Superseded => {
                        let token = holding.record().version.token;
                        let in_charge = found.is_some_and(|found| {
                            let in_flight = matches!(found.record.state, State::InFlight { .. });
                            in_flight && found.record.version.token == token
                        });
                        assert!(
                            !in_charge,
                            "a holder in charge was told that it is superseded"
                        );
                        return None;
                    }
                },
                None => {}
            }
            fate = Fate::Done;
        }
        panic!("a write has no end");
    }
}

fn claimed(message: Message) -> Record {
    match message {
        Message::Create(record) | Message::Update(Write { record, .. }) => record,
        Message::Delete(_) => unreachable!("a claim deletes nothing"),
    }
}
