//! Random troubles, against a server that notes what really ran.

use std::collections::HashSet;

use idem_core::IdempotencyKey;
use proptest::prelude::*;

use super::*;
use crate::{Code, IDEMPOTENCY_KEY, Problem};

/// What becomes of one sending.
#[derive(Debug, Clone, Copy)]
enum Fate {
    NoConnection,
    /// Lost on the way to the server.
    LostBefore,
    /// The server's reply is lost, or its body breaks off.
    LostAfter,
    /// The caller drops the sending after it arrived, and goes on with a clone.
    Dropped,
    Answered,
    /// Answered by something before the server.
    ProxyBefore(u16),
    /// Delivered, and answered by something before the server.
    ProxyAfter(u16),
    /// A timeout inside of the layer cuts the handler off half-way, and the key is free again.
    CutOff(u16),
    StoreAway,
    /// Ran, and was rolled back.
    RolledBack,
    /// Ran, and another service's problem is passed on as the answer.
    Forged(u8),
    /// Ran, and the process died: the key is held for ever.
    Died,
}

const PROXY: [u16; 16] = [
    101, 301, 302, 307, 400, 401, 403, 404, 405, 408, 409, 413, 425, 429, 502, 503,
];

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::NoConnection),
        2 => Just(Fate::LostBefore),
        2 => Just(Fate::LostAfter),
        1 => Just(Fate::Dropped),
        3 => Just(Fate::Answered),
        3 => prop::sample::select(&PROXY[..]).prop_map(Fate::ProxyBefore),
        3 => prop::sample::select(vec![408, 500, 502, 503, 504]).prop_map(Fate::ProxyAfter),
        1 => prop::sample::select(vec![408, 503]).prop_map(Fate::CutOff),
        3 => Just(Fate::StoreAway),
        1 => Just(Fate::RolledBack),
        2 => (0..4u8).prop_map(Fate::Forged),
        1 => Just(Fate::Died),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Record {
    InFlight,
    Ended(u16),
}

#[derive(Debug, Default)]
struct Server {
    runs: u32,
    record: Option<Record>,
    keys: HashSet<HeaderValue>,
}

impl Server {
    /// A request arrives. The handler answers with this status, if it runs.
    fn take(&mut self, status: u16) -> Reply {
        match self.record {
            None => {
                self.runs += 1;
                self.record = Some(Record::Ended(status));
                reply(status, &[], "first")
            }
            Some(Record::Ended(status)) => {
                reply(status, &[("idempotent-replayed", "true")], "first")
            }
            Some(Record::InFlight) => Problem::new(Code::InFlight).into(),
        }
    }

    /// It runs, unless there is a record, and leaves this record.
    fn run_and_leave(&mut self, record: Option<Record>) -> bool {
        let free = self.record.is_none();
        if free {
            self.runs += 1;
            self.record = record;
        }
        free
    }

    /// What the client gets, `None` when the client itself goes away.
    fn meet(&mut self, fate: Fate, status: u16) -> Option<Came> {
        let answer = |reply| Some(Came::Answer(reply));
        match fate {
            Fate::NoConnection => Some(Came::NotSent),
            Fate::LostBefore => Some(Came::Lost),
            Fate::LostAfter => {
                self.take(status);
                Some(Came::Lost)
            }
            Fate::Dropped => {
                self.take(status);
                None
            }
            Fate::Answered => answer(self.take(status)),
            Fate::ProxyBefore(proxy) => answer(reply(proxy, &[], "<html>")),
            Fate::ProxyAfter(proxy) => {
                self.take(status);
                answer(reply(proxy, &[("content-type", "text/html")], "<html>"))
            }
            Fate::CutOff(cut) => match self.run_and_leave(None) {
                true => answer(reply(cut, &[], "")),
                false => answer(self.take(status)),
            },
            Fate::StoreAway => answer(Problem::new(Code::StoreUnavailable).into()),
            Fate::RolledBack => match self.run_and_leave(None) {
                true => answer(reply(503, &[], r#"{"code":"rolled-back"}"#)),
                false => answer(self.take(status)),
            },
            Fate::Forged(kind) => {
                self.take(status);
                answer(forged(kind))
            }
            Fate::Died => {
                self.run_and_leave(Some(Record::InFlight));
                Some(Came::Lost)
            }
        }
    }
}

/// A `store-unavailable` that is not the layer's about this sending.
fn forged(kind: u8) -> Reply {
    let mut reply = Reply::from(Problem::new(Code::StoreUnavailable));
    let (name, value) = match kind {
        0 => ("content-type", "application/json"),
        1 => ("idempotent-replayed", "true"),
        2 => {
            reply.body = br#"{"code":"store-unavailable"}"#.to_vec();
            ("x-other", "1")
        }
        _ => {
            reply.body =
                br#"{"type":"https://other.example/x","code":"store-unavailable"}"#.to_vec();
            ("x-other", "1")
        }
    };
    reply.headers.insert(name, HeaderValue::from_static(value));
    reply
}

#[derive(Debug)]
enum Came {
    NotSent,
    Lost,
    Answer(Reply),
}

impl Came {
    fn sent(&self) -> Sent<'_> {
        match self {
            Self::NotSent => Sent::NotSent,
            Self::Lost => Sent::Lost,
            Self::Answer(reply) => reply.sent(),
        }
    }
}

/// How an intent starts.
#[derive(Debug, Clone, Copy)]
enum Start {
    Fresh,
    /// After a restart, with or without a run before.
    Resumed {
        ran: bool,
    },
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        2 => Just(Start::Fresh),
        1 => any::<bool>().prop_map(|ran| Start::Resumed { ran }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn it_is_never_safe_to_start_over_when_it_ran(
        start in start(),
        fates in prop::collection::vec((fate(), prop::sample::select(vec![201u16, 404, 422, 500])), 1..10),
        most_sendings in 1..8u32,
    ) {
        let rules = RetryRules::default().most_sendings(most_sendings);
        let key = IdempotencyKey::random();
        let mut server = Server::default();
        let kept = match start {
            Start::Fresh => Intent::fresh(key, rules),
            Start::Resumed { ran } => {
                if ran {
                    server.take(201);
                }
                let now = std::time::SystemTime::UNIX_EPOCH;
                Intent::resume(key, now, now, rules)
            }
        };
        let mut intent = kept.clone();
        let mut proven = matches!(start, Start::Fresh);
        for (fate, status) in fates {
            let mut headers = HeaderMap::new();
            intent.sign(&mut headers).unwrap();
            server.keys.insert(headers[IDEMPOTENCY_KEY].clone());
            let (before, doubted) = (server.runs, intent.may_have_run());
            intent.begin(Duration::ZERO).unwrap();
            prop_assert!(intent.may_have_run());
            proven &= matches!(fate, Fate::NoConnection | Fate::StoreAway);
            let Some(came) = server.meet(fate, status) else {
                intent = kept.clone();
                continue;
            };
            let next = intent.after(came.sent(), Duration::ZERO, 0.0);

            // What may have run is never unlearned, and what ran is never unknown to the intent.
            prop_assert!(intent.may_have_run() || !doubted);
            prop_assert!(intent.may_have_run() || server.runs == 0);
            // It claims no more doubt than there is.
            prop_assert_eq!(intent.may_have_run(), !proven);
            match next {
                Next::SendAgain(_) => {}
                Next::GiveUp(GaveUp::NothingRan(_)) => {
                    prop_assert_eq!(server.runs, 0);
                    break;
                }
                Next::GiveUp(GaveUp::OutcomeUnknown(_)) => {
                    prop_assert!(!proven);
                    break;
                }
                Next::Done => {
                    let Came::Answer(reply) = came else {
                        return Err(TestCaseError::fail("done without an answer"));
                    };
                    let settled = reply.status.is_success()
                        || reply.headers.contains_key("idempotent-replayed");
                    // A refusal is the outcome only if nothing can have run before it.
                    prop_assert!(settled && server.runs > 0 || !settled && before == 0);
                    break;
                }
            }
        }
        prop_assert_eq!(server.keys.len(), 1);
    }
}
