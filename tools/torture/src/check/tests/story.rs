//! Histories made by hand. Times are in milliseconds, versions are a token and a revision, and every
//! request is the first one unless said otherwise.

use super::super::{Promise, Rule, Rules, Window, check_key};
use crate::{
    clock::MILLISECOND,
    event::{Action, Call, Digest, Ending, Id, Phase, Reply, Seen, Summary, Told, Ver, first},
    history::{History, Question, StoreCall, WorkSpan},
    key::{KeyId, fingerprint},
    worker::Entry,
};

/// From when to when, in milliseconds.
pub(super) type Span = (u64, u64);

pub(super) const RECLAIM: KeyId = KeyId { era: 0, index: 0 };
pub(super) const HALT: KeyId = KeyId { era: 0, index: 1 };
pub(super) const SHORT: KeyId = KeyId { era: 0, index: 2 };

pub(super) const IN_FLIGHT: Phase = Phase::InFlight { lease_ms: 1000 };
const A_DAY: u64 = 24 * 3600 * 1000;

/// A record of the first request, in attempt 1.
pub(super) fn record(token: u64, revision: u64, state: Phase) -> Summary {
    let content = match state {
        Phase::InFlight { lease_ms } => lease_ms,
        Phase::Retryable => 1,
        Phase::Released => 2,
        Phase::Completed(p) | Phase::Failed(p) => p,
    };
    Summary {
        ver: Ver(token, revision),
        attempt: 1,
        fingerprint: first(&fingerprint(0)),
        state,
        digest: token << 40 | revision << 20 | content,
    }
}

pub(super) fn attempt(attempt: u32, record: Summary) -> Summary {
    Summary { attempt, ..record }
}

pub(super) fn seen(record: Summary) -> Reply {
    aged(record, None)
}

/// Seen with an age in milliseconds.
pub(super) fn aged(record: Summary, age_ms: Option<u64>) -> Reply {
    let age_us = age_ms.map(|age| age * 1000);
    Reply::Found(Seen { record, age_us })
}

/// Claimed by token 1 at 10 ms and completed with 77 at 100 ms.
pub(super) fn completed() -> Story {
    let mut story = Story::new();
    let execution = story.claim_won((0, 10), 1);
    story.completed(execution, (90, 100), (1, 1), 77);
    story
}

#[derive(Debug, Default, Clone)]
pub(super) struct Story {
    pub(super) history: History,
    pub(super) ledger: Vec<Entry>,
    ids: Id,
}

impl Story {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        self.ids
    }

    /// A call that nobody answered when there is no end.
    pub(super) fn call(
        &mut self,
        by: Option<Id>,
        sent: u64,
        reply: Option<(u64, Reply)>,
        what: Call,
    ) -> &mut Self {
        self.history.calls.push(StoreCall {
            by,
            what,
            sent: sent * MILLISECOND,
            reply: reply.map(|(got, reply)| (got * MILLISECOND, reply)),
        });
        self
    }

    pub(super) fn create(&mut self, (sent, got): Span, record: Summary, reply: Reply) -> &mut Self {
        let what = Call::Create {
            record,
            ttl_ms: A_DAY,
        };
        self.call(None, sent, Some((got, reply)), what)
    }

    pub(super) fn update(
        &mut self,
        (sent, got): Span,
        (token, revision): (u64, u64),
        record: Summary,
        reply: Reply,
    ) -> &mut Self {
        let what = Call::Update {
            expected: Ver(token, revision),
            record,
            ttl_ms: A_DAY,
        };
        self.call(None, sent, Some((got, reply)), what)
    }

    pub(super) fn delete(
        &mut self,
        (sent, got): Span,
        (token, revision): (u64, u64),
        reply: Reply,
    ) -> &mut Self {
        let expected = Ver(token, revision);
        self.call(None, sent, Some((got, reply)), Call::Delete { expected })
    }

    pub(super) fn get(&mut self, (sent, got): Span, reply: Reply) -> &mut Self {
        self.call(None, sent, Some((got, reply)), Call::Get)
    }

    /// A question and what was told; its number is handed back.
    pub(super) fn ask(&mut self, (asked, told): Span, what: Action, answer: Told) -> Id {
        let id = self.id();
        self.history.questions.push(Question {
            id,
            what,
            asked: asked * MILLISECOND,
            told: Some((told * MILLISECOND, answer)),
        });
        id
    }

    /// A claim that wins with attempt 1 of token `token`, and starts to work; its number.
    pub(super) fn claim_won(&mut self, span: Span, token: u64) -> Id {
        let (_, told) = span;
        let answer = Told::Acquired {
            attempt: 1,
            resumed: None,
        };
        let id = self.ask(span, Action::Claim { request: 0 }, answer);
        let what = Call::Create {
            record: record(token, 1, IN_FLIGHT),
            ttl_ms: A_DAY,
        };
        let (sent, got) = span;
        self.call(Some(id), sent, Some((got, Reply::Applied)), what);
        self.work(id, told, 1);
        id
    }

    /// A claim that takes over from `old` with attempt 2, and starts to work; its number.
    pub(super) fn claim_taken_over(&mut self, span: Span, old: (u64, u64), token: u64) -> Id {
        let (sent, got) = span;
        let answer = Told::Acquired {
            attempt: 2,
            resumed: None,
        };
        let id = self.ask(span, Action::Claim { request: 0 }, answer);
        let what = Call::Update {
            expected: Ver(old.0, old.1),
            record: attempt(2, record(token, old.1 + 1, IN_FLIGHT)),
            ttl_ms: A_DAY,
        };
        self.call(Some(id), sent, Some((got, Reply::Applied)), what);
        self.work(id, got, 2);
        id
    }

    pub(super) fn work(&mut self, execution: Id, start: u64, attempt: u32) -> &mut Self {
        self.history.works.push(WorkSpan {
            execution,
            attempt,
            request: 0,
            start: start * MILLISECOND,
            effect: None,
            stop: None,
        });
        self
    }

    pub(super) fn stop(&mut self, execution: Id, at: u64, ending: Option<Ending>) -> &mut Self {
        let works = &mut self.history.works;
        let work = works.iter_mut().find(|work| work.execution == execution);
        work.unwrap().stop = Some((at * MILLISECOND, ending));
        self
    }

    /// Completes, stored over version `old`.
    pub(super) fn completed(
        &mut self,
        execution: Id,
        span: Span,
        old: (u64, u64),
        payload: Digest,
    ) -> &mut Self {
        let ending = Ending::Complete(payload);
        self.stop(execution, span.0, Some(ending));
        let id = self.ask(span, Action::End { execution, ending }, Told::Stored);
        let what = Call::Update {
            expected: Ver(old.0, old.1),
            record: record(old.0, old.1 + 1, Phase::Completed(payload)),
            ttl_ms: A_DAY,
        };
        self.call(Some(id), span.0, Some((span.1, Reply::Applied)), what)
    }

    /// A claim that is told what `found` is.
    pub(super) fn told(&mut self, span: Span, found: Reply, answer: Told) -> &mut Self {
        let id = self.ask(span, Action::Claim { request: 0 }, answer);
        let what = Call::Create {
            record: record(1_000 + id, 1, IN_FLIGHT),
            ttl_ms: A_DAY,
        };
        self.call(Some(id), span.0, Some((span.1, found)), what)
    }

    /// A replay of what version `ver` completed with.
    pub(super) fn replayed(&mut self, span: Span, ver: (u64, u64), payload: Digest) -> &mut Self {
        let found = seen(record(ver.0, ver.1, Phase::Completed(payload)));
        self.told(span, found, Told::Replay(payload))
    }

    /// The rules that are broken.
    pub(super) fn broken(&self, key: KeyId) -> Vec<Rule> {
        self.broken_under(key, &durable())
    }

    pub(super) fn broken_under(&self, key: KeyId, rules: &Rules) -> Vec<Rule> {
        let verdict = check_key(key, &self.history, rules, &self.ledger);
        let rules = verdict.violations.iter().map(|v| v.rule);
        // Its opinion is asked for by tests of its own.
        let mut broken: Vec<_> = rules.filter(|rule| *rule != Rule::Search).collect();
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    pub(super) fn lost_under(&self, key: KeyId, rules: &Rules) -> u64 {
        check_key(key, &self.history, rules, &self.ledger).lost_acknowledgements
    }
}

pub(super) fn durable() -> Rules {
    Rules {
        promise: Promise::Durable,
        failovers: Vec::new(),
        spared: Vec::new(),
        moved: Vec::new(),
        slack: 5 * MILLISECOND,
    }
}

/// With a failover between these two moments.
pub(super) fn with_failover(promise: Promise, (from, to): Span) -> Rules {
    let failover = Window {
        from: from * MILLISECOND,
        to: to * MILLISECOND,
    };
    Rules {
        promise,
        failovers: vec![failover],
        spared: Vec::new(),
        ..durable()
    }
}
