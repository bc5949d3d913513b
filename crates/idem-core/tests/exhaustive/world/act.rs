//! What may happen next, and what it does.

use idem_core::{
    ClaimToken, Record, State, Stored,
    machine::{self, Ending, Holding, Step, Undo, Write},
};

use super::{Action, Claiming, Message, Phase, Protocol, World, answer};

/// What the store says to a request.
pub(super) enum Reply {
    Applied,
    Found(Option<Stored>),
}

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
                self.create(world, worker, Claiming { token, sent: 0 });
            }
            Action::Renew(worker) => {
                world.used.steps += 1;
                world.holding(worker, |mut holding| {
                    let write = holding.step(Step::Renew);
                    Phase::Renewing(holding, write)
                });
            }
            Action::Complete(worker) => world.holding(worker, |mut holding| {
                let write = holding.end(answer(&holding));
                Phase::Ending(holding, write)
            }),
            Action::FailRetryable(worker) => world.holding(worker, |mut holding| {
                let write = holding.end(Ending::Retry);
                Phase::Ending(holding, write)
            }),
            Action::Release(worker) => world.holding(worker, Phase::Releasing),
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
                self.send_again(world, worker);
            }
            Action::LoseRequest(at) => {
                world.used.faults += 1;
                let (worker, _) = world.wire.remove(at);
                self.send_again(world, worker);
            }
            Action::Delay(at) => {
                world.used.faults += 1;
                self.send_again(world, world.wire[at].0);
            }
        }
    }

    pub(super) fn create(&self, world: &mut World, worker: usize, mut claiming: Claiming) {
        let mut request = self.request(worker, &claiming);
        let message = Message::Create(machine::first(&mut request));
        claiming.sent = request.sent;
        world.send(worker, Phase::Claiming(claiming, message));
    }

    /// What the engine does about a reply that does not come.
    fn send_again(&self, world: &mut World, worker: usize) {
        match world.workers[worker].clone() {
            Phase::Claiming(claiming, Message::Create(_)) => self.create(world, worker, claiming),
            unchanged => world.send(worker, unchanged),
        }
    }
}

impl World {
    /// Whether the sender of the request at this place still waits for it.
    fn awaits(&self, at: usize) -> bool {
        let (worker, message) = &self.wire[at];
        self.workers[*worker].awaited().as_ref() == Some(message)
    }

    pub(super) fn send(&mut self, worker: usize, phase: Phase) {
        let message = phase.awaited().unwrap();
        self.wire.push((worker, message));
        self.workers[worker] = phase;
    }

    fn holding(&mut self, worker: usize, next: impl FnOnce(Holding) -> Phase) {
        let Phase::Running(holding) = &self.workers[worker] else {
            unreachable!("only a running worker is asked to")
        };
        let phase = next(holding.clone());
        self.send(worker, phase);
    }

    fn disown(&mut self, worker: usize) {
        let Phase::Claiming(
            claiming,
            Message::Create(record) | Message::Update(Write { record, .. }),
        ) = &self.workers[worker]
        else {
            unreachable!("a claim is a create or an update")
        };
        let mut holding = Holding::of_claim(record.clone(), claiming.sent);
        let message = match Undo::of(record) {
            Undo::Release => Message::Delete(record.version),
            Undo::Retry => Message::Update(holding.end(Ending::Retry)),
        };
        self.send(worker, Phase::Disowning(holding, message));
    }

    fn lapse(&mut self) {
        self.used.lapses += 1;
        self.lapsed = true;
        let token = self.record.as_ref().unwrap().version.token;
        self.account.lapsed.push(token);
    }

    /// The store: four conditional writes.
    fn apply(&mut self, message: &Message) -> Reply {
        let found = self.stored();
        let version = found.as_ref().map(|found| found.record.version);
        let applies = match message {
            Message::Create(_) => version.is_none(),
            Message::Update(write) => version == Some(write.expected),
            Message::Delete(expected) => version == Some(*expected),
        };
        if !applies {
            return Reply::Found(found);
        }
        let after = match message {
            Message::Create(record) | Message::Update(Write { record, .. }) => Some(record.clone()),
            Message::Delete(_) => None,
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
            account.expect(same, "G4: another request never changes the record");
            let token = before.record.version.token;
            let own = token == after.version.token;
            let retryable = matches!(before.record.state, State::Retryable { .. });
            let free = self.lapsed || retryable || account.given_up.contains(&token);
            account.expect(own || free, "G1: a running lease is not taken over");
        }
        if let (Some(before), None) = (before, after) {
            account.given_up.push(before.record.version.token);
        }
        if let Some(after) = after {
            account.lapsed.retain(|token| *token != after.version.token);
            if after.state.is_final() {
                account.ending = Some(after.state.clone());
            }
        }
        let void = after.is_none_or(|after| matches!(after.state, State::Retryable { .. }));
        account.void += u8::from(void);
    }
}
