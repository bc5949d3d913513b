//! What a worker makes of a reply.

use idem_core::{
    Record, State, Stored,
    machine::{self, Decision, Holding, LapsedRule, Settled, Write},
};

use super::{Claiming, Message, Phase, Protocol, World, act::Reply};

impl Protocol {
    /// The reply reaches its sender, unless the sender no longer waits for it.
    pub(super) fn hear(&self, world: &mut World, worker: usize, message: &Message, reply: Reply) {
        if world.workers[worker].awaited().as_ref() != Some(message) {
            return;
        }
        match (world.workers[worker].clone(), reply) {
            (Phase::Claiming(claiming, sent), Reply::Applied) => match sent {
                Message::Create(record) => self.acquire(world, worker, &claiming, record),
                Message::Update(write) => {
                    world.account.seen.take_over = true;
                    self.acquire(world, worker, &claiming, write.record);
                }
                Message::Delete(_) => unreachable!("a claim never deletes"),
            },
            (Phase::Claiming(claiming, _), Reply::Found(found)) => {
                self.decide(world, worker, claiming, found);
            }
            (Phase::Renewing(mut holding, write), Reply::Applied) => {
                holding.wrote(write);
                world.workers[worker] = Phase::Running(holding);
            }
            (Phase::Renewing(holding, write), Reply::Found(found)) => {
                world.settle(worker, holding, &write, found.as_ref(), true);
            }
            (Phase::Ending(_, write), Reply::Applied) => world.ended(worker, &write),
            (Phase::Ending(holding, write), Reply::Found(found)) => {
                world.settle(worker, holding, &write, found.as_ref(), false);
            }
            (Phase::Releasing(mut holding), Reply::Found(found)) => {
                if holding.still_owns(found.as_ref()) {
                    world.send(worker, Phase::Releasing(holding));
                } else {
                    world.workers[worker] = Phase::Over;
                }
            }
            (Phase::Disowning(holding, message), Reply::Found(found)) => {
                world.workers[worker] = Phase::Over;
                world.disown_again(worker, holding, message, found.as_ref());
            }
            (Phase::Releasing(_) | Phase::Disowning(..), Reply::Applied) => {
                world.workers[worker] = Phase::Over;
            }
            (Phase::Idle | Phase::Running(_) | Phase::Over, _) => unreachable!("awaits nothing"),
        }
    }

    fn decide(
        &self,
        world: &mut World,
        worker: usize,
        mut claiming: Claiming,
        found: Option<Stored>,
    ) {
        let mut request = self.request(worker, &claiming);
        let Some(found) = found else {
            return self.create(world, worker, claiming);
        };
        let (account, seen) = (&mut world.account, &found.record);
        let decision = machine::decide(&mut request, &found);
        claiming.sent = request.sent;
        match decision {
            Decision::Own => {
                account.seen.own = true;
                self.acquire(world, worker, &claiming, found.record);
            }
            Decision::TakeOver(write) => {
                world.send(worker, Phase::Claiming(claiming, Message::Update(write)));
            }
            decision => {
                match decision {
                    Decision::Replay(payload) => {
                        account.seen.replay = true;
                        let stored = account.ending == Some(State::Completed { payload });
                        account.expect(stored, "G2: a replay is the ending that was stored");
                    }
                    Decision::Mismatch => {
                        account.seen.mismatch = true;
                        let other = seen.fingerprint != request.fingerprint;
                        account.expect(other, "G4: the same request is no mismatch");
                    }
                    Decision::Abandoned { .. } => account.seen.abandoned = true,
                    _ => {}
                }
                // A client that gets no ending repeats its request.
                world.workers[worker] = Phase::Idle;
            }
        }
    }

    fn acquire(&self, world: &mut World, worker: usize, claiming: &Claiming, record: Record) {
        let token = record.version.token;
        let others = world
            .workers
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != worker);
        let mut live = others.filter_map(|(_, phase)| phase.live());
        let alone = live.all(|other| {
            let other = other.record().version.token;
            other == token || world.account.lapsed.contains(&other)
        });
        let (in_store, account) = (world.record.as_ref() == Some(&record), &mut world.account);
        account.expect(alone, "G1: two live executions within one lease");
        account.expect(
            in_store,
            "G5: a claim is acquired by whoever has it in the store",
        );
        account.expect(account.ending.is_none(), "G2: nothing runs after an ending");
        account.runs += 1;
        if self.rule == LapsedRule::Halt {
            let once = account.runs <= 1 + account.void;
            account.expect(once, "G8: under Halt only what had no effect runs again");
        }
        world.workers[worker] = Phase::Running(Holding::of_claim(record, claiming.sent));
    }
}

impl World {
    fn settle(
        &mut self,
        worker: usize,
        mut holding: Holding,
        write: &Write,
        found: Option<&Stored>,
        renewal: bool,
    ) {
        match holding.settle(write, found) {
            Settled::Landed if renewal => {
                self.account.seen.landed = true;
                holding.wrote(write.clone());
                self.workers[worker] = Phase::Running(holding);
            }
            Settled::Landed => {
                self.account.seen.landed = true;
                self.ended(worker, write);
            }
            Settled::Again(again) => {
                self.account.seen.again = true;
                let phase = match renewal {
                    true => Phase::Renewing(holding, again),
                    false => Phase::Ending(holding, again),
                };
                self.send(worker, phase);
            }
            Settled::Superseded => {
                self.account.seen.superseded = true;
                let mine = self.account.ending.as_ref() == Some(&write.record.state);
                self.account
                    .expect(!mine, "G5: whose ending is stored is not superseded");
                self.workers[worker] = Phase::Over;
            }
        }
    }

    /// An earlier copy of the claim may be the one that was applied.
    fn disown_again(
        &mut self,
        worker: usize,
        mut holding: Holding,
        message: Message,
        found: Option<&Stored>,
    ) {
        match message {
            Message::Delete(_) if holding.still_owns(found) => {
                let message = Message::Delete(holding.record().version);
                self.send(worker, Phase::Disowning(holding, message));
            }
            Message::Update(write) => {
                if let Settled::Again(again) = holding.settle(&write, found) {
                    self.send(worker, Phase::Disowning(holding, Message::Update(again)));
                }
            }
            Message::Delete(_) | Message::Create(_) => {}
        }
    }

    fn ended(&mut self, worker: usize, write: &Write) {
        if write.record.state.is_final() {
            let stored = self.account.ending.as_ref() == Some(&write.record.state);
            self.account.expect(
                stored,
                "G5: an ending that landed is the one that is stored",
            );
        }
        self.workers[worker] = Phase::Over;
    }
}
