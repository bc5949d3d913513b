//! The machine, driven by random operations over a network that loses, repeats and delays what is
//! sent. The model below knows the promises and not the machine: it looks at each change of the
//! record, at who believes to be running, and at what arrives of those that are through.
#![no_main]

#[path = "machine/network.rs"]
mod network;

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use idem_core::{Fingerprint, Refused, Timestamp, machine::{Claimed, Claiming, Ending, Held, Holding, Landed, LapsedRule, Reply, Request, Want}, store::{ClaimToken, Record, State, StoreErrorKind}};
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
        /// What comes before the ending is sent again.
        between: Between,
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

/// Between two attempts at an ending.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Between {
    Nothing,
    /// A renewal, and what becomes of it.
    Renewal(Fate),
    /// The store refuses the ending for good.
    Refusal,
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
            Op::Renew { worker, fate } => self.hold(worker, Want::Renew, fate, None),
            Op::Checkpoint { worker, left, fate } => {
                let left = Bytes::from(vec![left]);
                self.hold(worker, Want::Checkpoint(left), fate, None);
            }
            Op::End {
                worker,
                ending,
                fate,
                between,
            } => {
                if let Some(want) = self.ending(worker, ending) {
                    self.hold(worker, want, fate, Some(between));
                }
            }
            Op::Release { worker, fate } => self.hold(worker, Want::Release, fate, None),
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

    fn claim(&mut self, worker: usize, request: Request, [fate, again]: [Fate; 2]) {
        let lapsed = request.lapsed;
        let (print, most) = (request.fingerprint, request.max_attempts);
        let mut claiming = Claiming::new(request);
        let mut fates = [fate, again].into_iter();
        for _ in 0..ROUNDS {
            let fate = fates.next().unwrap_or(Fate::Done);
            let reply = self.network.send(claiming.next(), fate);
            let found = match &reply {
                Reply::Found(found) => found.clone(),
                _ => None,
            };
            let same = |f: &idem_core::store::Stored| f.record.fingerprint == print;
            match (claiming.on_reply(reply, Duration::ZERO), found) {
                (Claimed::Again | Claimed::Later, _) => continue,
                (Claimed::Own(holding), found) => {
                    assert!(found.as_ref().is_none_or(same), "G4");
                    self.acquire(worker, holding);
                }
                (_, None) => unreachable!("nothing was found to answer with"),
                (Claimed::Replay(payload), Some(found)) => {
                    assert_eq!(found.record.state, State::Completed { payload }, "G2");
                    assert!(same(&found), "G4");
                }
                (Claimed::ReplayFailure(payload), Some(found)) => {
                    assert_eq!(found.record.state, State::Failed { payload }, "G2");
                    assert!(same(&found), "G4");
                }
                (Claimed::Refused(Refused::Mismatch), Some(found)) => assert!(!same(&found), "G4"),
                (Claimed::Refused(refused), Some(found)) => {
                    assert!(same(&found), "G4: {refused:?}");
                    match refused {
                        Refused::InFlight { retry_after } => {
                            assert_eq!(found.age.map(|age| age + retry_after), Some(LEASE));
                        }
                        Refused::Abandoned { attempt } => {
                            assert!(lapsed == LapsedRule::Halt && found.age >= Some(LEASE));
                            assert_eq!(attempt, found.record.attempt);
                        }
                        Refused::Exhausted { attempts } => {
                            assert!(most.is_some_and(|most| attempts >= most.get()));
                        }
                        Refused::Mismatch => unreachable!("see above"),
                    }
                }
            }
            assert_eq!(claiming.give_up(), None, "it has its answer");
            return;
        }
        panic!("a claim has no end");
    }

    /// G1: whoever else believes to be running was not heard of for a whole lease.
    fn acquire(&mut self, worker: usize, holding: Holding) {
        for other in self.workers.iter().flatten() {
            assert!(
                self.network.time - other.heard >= LEASE,
                "G1: two live executions"
            );
        }
        self.workers[worker] = Some(Worker {
            holding,
            heard: self.network.time,
        });
    }

    /// An answer of its own for every execution.
    fn ending(&self, worker: u8, ending: u8) -> Option<Want> {
        let worker = self.workers[usize::from(worker) % WORKERS].as_ref()?;
        let payload = Bytes::copy_from_slice(worker.token().as_bytes());
        let fallback = Some(Ending::Fail(Bytes::from_static(b"not kept")));
        Some(match ending % 3 {
            0 => Want::End {
                ending: Ending::Complete(payload),
                fallback,
            },
            1 => Want::end(Ending::Fail(payload)),
            _ => Want::end(Ending::Retry),
        })
    }

    /// Sends what a holder wants until it is settled.
    fn hold(&mut self, worker: u8, want: Want, fate: Fate, mut between: Option<Between>) {
        let index = usize::from(worker) % WORKERS;
        let Some(mut worker) = self.workers[index].take() else {
            return;
        };
        worker.holding.want(want).expect("it is not over");
        let mut fate = fate;
        for _ in 0..ROUNDS {
            let op = worker.holding.next().expect("it is not over");
            let reply = self
                .network
                .send(op, std::mem::replace(&mut fate, Fate::Done));
            let held = match &reply {
                Reply::Found(found) => found.clone(),
                _ => None,
            };
            match worker.holding.on_reply(reply) {
                Held::Again => {}
                Held::Later => match between.take() {
                    None | Some(Between::Nothing) => {}
                    Some(Between::Renewal(then)) => {
                        worker.holding.want(Want::Renew).expect("it is not over");
                        fate = then;
                    }
                    Some(Between::Refusal) => {
                        let _ = worker.holding.next();
                        let refused = Reply::Failed(StoreErrorKind::TooLarge);
                        let _ = worker.holding.on_reply(refused);
                    }
                },
                // After a renewal between two attempts the ending goes on.
                Held::Kept if worker.holding.ending().is_some() => {}
                Held::Kept => {
                    worker.heard = self.network.time;
                    self.workers[index] = Some(worker);
                    return;
                }
                Held::Ended(landed) => {
                    self.network.close(worker.token());
                    return self.expect_landed(&worker, landed);
                }
                Held::Superseded => {
                    self.network.close(worker.token());
                    let own = held.is_some_and(|f| f.record.version.token == worker.token());
                    return assert!(!own, "its own record tells it that it is superseded");
                }
            }
        }
        panic!("a wish has no end");
    }

    fn expect_landed(&self, worker: &Worker, landed: Landed) {
        let stored = self.network.stored().map(|stored| stored.record);
        let own = |record: &Record| record.version.token == worker.token();
        let name = stored.as_ref().filter(|r| own(r)).map(|r| r.state.name());
        let expected = match landed {
            Landed::Completed => Some("completed"),
            Landed::Failed | Landed::Fallback => Some("failed"),
            Landed::Retryable => Some("retryable"),
            Landed::Released => return,
        };
        assert_eq!(name, expected, "an ending that landed stands");
    }
}
