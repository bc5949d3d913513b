//! What a worker makes of a reply. It decides nothing: it does what the machine says, and holds
//! the answers against the promises.

use std::time::Duration;

use idem_core::{
    Refused,
    machine::{Claimed, Claiming, Held, Holding, Landed, LapsedRule, Reply},
    store::State,
};

use super::{Message, Phase, Protocol, World};

impl Protocol {
    /// The reply reaches its sender, unless the sender no longer waits for it.
    pub(super) fn hear(&self, world: &mut World, worker: usize, message: &Message, reply: Reply) {
        if world.workers[worker].awaited() != Some(message) {
            return;
        }
        let phase = std::mem::replace(&mut world.workers[worker], Phase::Over);
        match phase {
            Phase::Claiming(claiming, sent) => self.claim(world, worker, claiming, &sent, reply),
            Phase::Renewing(holding, sent) => {
                world.hold(worker, holding, &sent, reply, Phase::Renewing);
            }
            Phase::Ending(holding, sent) => {
                world.hold(worker, holding, &sent, reply, Phase::Ending);
            }
            Phase::Disowning(mut holding, _) => match holding.on_reply(reply) {
                Held::Again | Held::Later => world.send(worker, holding, Phase::Disowning),
                Held::Kept | Held::Ended(_) | Held::Superseded => {}
            },
            Phase::Idle | Phase::Running(_) | Phase::Over => unreachable!("awaits nothing"),
        }
    }

    fn claim(
        &self,
        world: &mut World,
        worker: usize,
        mut claiming: Claiming,
        sent: &Message,
        reply: Reply,
    ) {
        let found = match &reply {
            Reply::Found(Some(found)) => Some(found.record.clone()),
            _ => None,
        };
        let seen = &mut world.account.seen;
        let account = match claiming.on_reply(reply, Duration::ZERO) {
            Claimed::Again | Claimed::Later => return world.send_claim(worker, claiming),
            Claimed::Own(holding) => {
                seen.own |= found.is_some();
                seen.take_over |= matches!(sent, Message::Update(_));
                return self.acquire(world, worker, holding);
            }
            Claimed::Replay(payload) => {
                seen.replay = true;
                let account = &mut world.account;
                let stored = account.ending == Some(State::Completed { payload });
                account.expect(stored, "G2: a replay is the ending that was stored");
                account
            }
            Claimed::ReplayFailure(payload) => {
                let account = &mut world.account;
                let stored = account.ending == Some(State::Failed { payload });
                account.expect(stored, "G2: a replay is the ending that was stored");
                account
            }
            Claimed::Refused(refused) => {
                seen.mismatch |= refused == Refused::Mismatch;
                seen.abandoned |= matches!(refused, Refused::Abandoned { .. });
                let print = idem_core::Fingerprint::from_bytes([self.prints[worker]; 32]);
                let other = found.is_some_and(|found| found.fingerprint != print);
                let account = &mut world.account;
                let agrees = other == (refused == Refused::Mismatch);
                account.expect(agrees, "G4: another request, and no other, is a mismatch");
                account
            }
        };
        let undone = claiming.give_up().is_none();
        account.expect(undone, "a claim that has its answer gives nothing back");
        // A client that gets no ending repeats its request.
        world.workers[worker] = Phase::Idle;
    }

    fn acquire(&self, world: &mut World, worker: usize, holding: Holding) {
        let record = holding.record();
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
        let (in_store, account) = (world.record.as_ref() == Some(record), &mut world.account);
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
        world.workers[worker] = Phase::Running(holding);
    }
}

impl World {
    fn hold(
        &mut self,
        worker: usize,
        mut holding: Holding,
        sent: &Message,
        reply: Reply,
        phase: fn(Holding, Message) -> Phase,
    ) {
        let is_found = matches!(reply, Reply::Found(Some(_)));
        let is_ending = holding.ending().is_some();
        match holding.on_reply(reply) {
            Held::Again => {
                self.account.seen.again |= is_found;
                self.send(worker, holding, phase);
            }
            Held::Later => self.send(worker, holding, phase),
            // After a renewal between two attempts the ending goes on.
            Held::Kept if is_ending => self.send(worker, holding, phase),
            Held::Kept => self.workers[worker] = Phase::Running(holding),
            Held::Ended(landed) => {
                self.account.seen.landed |= is_found;
                self.account.seen.fallback |= landed == Landed::Fallback;
                self.ended(&holding, landed, sent);
            }
            Held::Superseded => {
                self.account.seen.superseded = true;
                let own = self.account.ending_token == Some(holding.record().version.token);
                self.account
                    .expect(!own, "G5: whose ending is stored is not superseded");
            }
        }
    }

    /// An ending that is told as landed is the one that is stored.
    fn ended(&mut self, holding: &Holding, landed: Landed, sent: &Message) {
        let account = &mut self.account;
        let is_final = match landed {
            Landed::Completed | Landed::Failed | Landed::Fallback => true,
            Landed::Retryable | Landed::Released => false,
        };
        if !is_final {
            return;
        }
        let own = account.ending_token == Some(holding.record().version.token);
        account.expect(own, "G5: an ending that landed is the one that is stored");
        let stored = account.ending.as_ref().map(State::name);
        let told = match landed {
            Landed::Completed => Some("completed"),
            _ => Some("failed"),
        };
        account.expect(
            stored == told,
            "G2: the first caller is told what is stored",
        );
        let was_sent =
            matches!(sent, Message::Update(w) if Some(&w.record.state) == account.ending.as_ref());
        account.seen.earlier |= !was_sent;
    }
}
