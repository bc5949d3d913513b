//! What may happen next, and what it does.

use idem_core::{
    machine::{Claiming, Ending, Holding, Reply, Want, Write},
    store::{ClaimToken, Record, State, StoreErrorKind, Stored},
};

use super::{Action, Message, Phase, Protocol, World, answer, fallback};

impl Protocol {
    pub(super) fn possible(&self, world: &World, actions: &mut Vec<Action>) {
        let (used, bounds) = (&world.used, &self.bounds);
        for (worker, phase) in world.workers.iter().enumerate() {
            match phase {
                Phase::Idle if used.claims < bounds.claims => actions.push(Action::Claim(worker)),
                Phase::Claiming(..) if used.crashes < bounds.crashes => {
                    actions.push(Action::GiveUp(worker));
                }
                Phase::Running(_) => {
                    actions.extend([Action::Complete(worker), Action::FailRetryable(worker)]);
                    actions.push(Action::Release(worker));
                    if used.steps < bounds.steps {
                        actions.push(Action::Renew(worker));
                    }
                }
                _ => {}
            }
            let alive = !matches!(phase, Phase::Idle | Phase::Over);
            if alive && used.crashes < bounds.crashes {
                actions.push(Action::Crash(worker));
            }
        }
        for at in 0..world.wire.len() {
            actions.push(Action::Arrive(at));
            if used.faults < bounds.faults && world.awaits(at) {
                actions.extend([
                    Action::LoseReply(at),
                    Action::LoseRequest(at),
                    Action::Delay(at),
                ]);
                if bounds.pending_endings && world.is_answer(at) {
                    actions.push(Action::Refuse(at));
                }
                if bounds.pending_endings && used.steps < bounds.steps && world.is_ending(at) {
                    actions.push(Action::DelayAndRenew(at));
                }
            }
        }
        let in_flight = world
            .record
            .as_ref()
            .is_some_and(|r| matches!(r.state, State::InFlight { .. }));
        if in_flight && !world.lapsed && used.lapses < bounds.lapses {
            actions.push(Action::Lapse);
        }
    }

    pub(super) fn act(&self, world: &mut World, action: Action) {
        match action {
            Action::Claim(worker) => {
                world.used.claims += 1;
                let token = ClaimToken::from_bytes([world.used.claims; 16]);
                let claiming = Claiming::new(self.request(worker, token));
                world.send_claim(worker, claiming);
            }
            Action::Renew(worker) => {
                world.used.steps += 1;
                world.want(worker, |_| Want::Renew);
            }
            Action::Complete(worker) => world.want(worker, |holding| Want::End {
                ending: answer(holding),
                fallback: Some(fallback(holding)),
            }),
            Action::FailRetryable(worker) => world.want(worker, |_| Want::end(Ending::Retry)),
            Action::Release(worker) => world.want(worker, |_| Want::end(Ending::Release)),
            Action::Crash(worker) => {
                world.used.crashes += 1;
                world.workers[worker] = Phase::Over;
            }
            Action::GiveUp(worker) => {
                world.used.crashes += 1;
                world.disown(worker);
            }
            Action::Lapse => world.lapse(),
            Action::Arrive(at) => {
                let (worker, message) = world.wire.remove(at);
                let reply = world.apply(&message);
                self.hear(world, worker, &message, reply);
            }
            Action::LoseReply(at) => {
                world.used.faults += 1;
                let (worker, message) = world.wire.remove(at);
                world.apply(&message);
                self.fail(world, worker, &message, StoreErrorKind::Unknown);
            }
            Action::LoseRequest(at) => {
                world.used.faults += 1;
                let (worker, message) = world.wire.remove(at);
                self.fail(world, worker, &message, StoreErrorKind::Unknown);
            }
            Action::Delay(at) => {
                world.used.faults += 1;
                let (worker, message) = world.wire[at].clone();
                self.fail(world, worker, &message, StoreErrorKind::Unknown);
            }
            Action::Refuse(at) => {
                world.used.faults += 1;
                let (worker, message) = world.wire.remove(at);
                self.fail(world, worker, &message, StoreErrorKind::TooLarge);
            }
            Action::DelayAndRenew(at) => {
                world.used.faults += 1;
                world.used.steps += 1;
                let worker = world.wire[at].0;
                world.renew_between(worker);
            }
        }
    }

    fn fail(&self, world: &mut World, worker: usize, message: &Message, kind: StoreErrorKind) {
        self.hear(world, worker, message, Reply::Failed(kind));
    }
}

impl World {
    /// Whether the sender of the request at this place still waits for it.
    fn awaits(&self, at: usize) -> bool {
        let (worker, message) = &self.wire[at];
        self.workers[*worker].awaited() == Some(message)
    }

    /// Whether the request at this place stores an answer.
    fn is_answer(&self, at: usize) -> bool {
        let Message::Update(write) = &self.wire[at].1 else {
            return false;
        };
        matches!(write.record.state, State::Completed { .. })
    }

    fn is_ending(&self, at: usize) -> bool {
        let (worker, message) = &self.wire[at];
        let is_renewal =
            matches!(message, Message::Update(write) if !write.record.state.is_ended());
        matches!(self.workers[*worker], Phase::Ending(..)) && !is_renewal
    }

    pub(super) fn send_claim(&mut self, worker: usize, mut claiming: Claiming) {
        let message = Message::of(claiming.next());
        self.wire.push((worker, message.clone()));
        self.workers[worker] = Phase::Claiming(claiming, message);
    }

    /// Sends what a holder wants next.
    pub(super) fn send(
        &mut self,
        worker: usize,
        mut holding: Holding,
        phase: impl FnOnce(Holding, Message) -> Phase,
    ) {
        let message = Message::of(holding.next().unwrap());
        self.wire.push((worker, message.clone()));
        self.workers[worker] = phase(holding, message);
    }

    fn want(&mut self, worker: usize, want: impl FnOnce(&Holding) -> Want) {
        let Phase::Running(holding) = &self.workers[worker] else {
            unreachable!("only a running worker is asked to")
        };
        let mut holding = holding.clone();
        let want = want(&holding);
        let phase = match &want {
            Want::Renew | Want::Checkpoint(_) => Phase::Renewing,
            Want::End { .. } => Phase::Ending,
        };
        holding.want(want).unwrap();
        self.send(worker, holding, phase);
    }

    /// Gives up on the reply to an ending, and renews before it is sent again.
    fn renew_between(&mut self, worker: usize) {
        let Phase::Ending(holding, _) = &self.workers[worker] else {
            unreachable!("only an ending worker is asked to")
        };
        let mut holding = holding.clone();
        let _ = holding.on_reply(Reply::Failed(StoreErrorKind::Unknown));
        holding.want(Want::Renew).unwrap();
        self.send(worker, holding, Phase::Ending);
    }

    fn disown(&mut self, worker: usize) {
        let Phase::Claiming(claiming, _) = &self.workers[worker] else {
            unreachable!("only a claim is given up")
        };
        match claiming.give_up() {
            Some(holding) => self.send(worker, holding, Phase::Disowning),
            None => self.workers[worker] = Phase::Over,
        }
    }

    fn lapse(&mut self) {
        self.used.lapses += 1;
        self.lapsed = true;
        let token = self.record.as_ref().unwrap().version.token;
        self.account.lapsed.push(token);
    }

    /// The store: conditional writes, and a read.
    fn apply(&mut self, message: &Message) -> Reply {
        let found = self.stored();
        let version = found.as_ref().map(|found| found.record.version);
        let applies = match message {
            Message::Create(_) => version.is_none(),
            Message::Update(write) => version == Some(write.expected),
            Message::Delete(expected) => version == Some(*expected),
            Message::Get => false,
        };
        if !applies {
            return Reply::Found(found);
        }
        let after = match message {
            Message::Create(record) | Message::Update(Write { record, .. }) => Some(record.clone()),
            Message::Delete(_) | Message::Get => None,
        };
        self.audit(found.as_ref(), after.as_ref());
        self.record = after;
        self.lapsed = false;
        Reply::Applied
    }

    /// Holds a write that is about to be applied against the promises.
    fn audit(&mut self, before: Option<&Stored>, after: Option<&Record>) {
        let account = &mut self.account;
        account.expect(
            account.ending.is_none(),
            "G2: nothing follows the first ending",
        );
        if let (Some(before), Some(after)) = (before, after) {
            let same = before.record.fingerprint == after.fingerprint;
            let released = before.record.state == State::Released;
            let kept = same || released;
            account.seen.other |= !same;
            account.expect(kept, "G4: another request never changes the record");
            let grows = before.record.attempt <= after.attempt;
            account.expect(grows, "fencing numbers never go back");
            let token = before.record.version.token;
            let own = token == after.version.token;
            let retryable = matches!(before.record.state, State::Retryable { .. });
            let free = self.lapsed || retryable || released || account.given_up.contains(&token);
            account.expect(own || free, "G1: a running lease is not taken over");
        }
        if let (Some(before), None) = (before, after) {
            account.given_up.push(before.record.version.token);
        }
        if let Some(after) = after {
            account.lapsed.retain(|token| *token != after.version.token);
            if after.state.is_final() {
                account.ending = Some(after.state.clone());
                account.ending_token = Some(after.version.token);
            }
        }
        let is_void = |state: &State| matches!(state, State::Retryable { .. } | State::Released);
        let void = after.is_none_or(|after| is_void(&after.state));
        account.void += u8::from(void);
    }
}
