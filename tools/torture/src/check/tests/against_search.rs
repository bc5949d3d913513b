//! The checks without a search and the search come to the same result, on small histories that are
//! right, and on such in which one reply was changed.

use std::time::Duration;

use idem_conformance::history::{
    Call as Searched, Imprint, Register, StoreCall as Asked, StoreReply, Violation, check as search,
};
use idem_core::store::{ClaimToken, Version};
use proptest::prelude::*;

use super::{
    super::{
        Findings,
        search::{LIMIT, time},
        segments,
    },
    story::{RECLAIM, Story, durable, record, seen},
};
use crate::{
    event::{Call, Fault, Phase, Reply, Summary, Ver},
    history::{History, StoreCall},
};

const A_DAY: u64 = 24 * 3600 * 1000;

/// One call, before it is known what it finds.
#[derive(Debug, Clone)]
struct Intent {
    kind: u8,
    /// Since the call before was sent.
    gap: u64,
    takes: u64,
    /// When it takes effect: this share of its time.
    effect: u64,
    /// Which of the versions before it expects, counted from the last.
    expects: usize,
    /// Whether its reply is lost; then it may take effect even later.
    is_lost: bool,
    /// How long what it writes is kept.
    ttl: u64,
}

fn intent(ttl: std::ops::Range<u64>) -> impl Strategy<Value = Intent> {
    let is_lost = prop::bool::weighted(0.2);
    let call = (0..5_u8, 0..20_u64, 1..60_u64, 0..=100_u64, 0..3_usize);
    (call, is_lost, ttl).prop_map(
        |((kind, gap, takes, effect, expects), is_lost, ttl)| Intent {
            kind,
            gap,
            takes,
            effect,
            expects,
            is_lost,
            ttl,
        },
    )
}

/// A change of one reply.
#[derive(Debug, Clone)]
struct Change {
    place: prop::sample::Index,
    to: u8,
    version: prop::sample::Index,
}

fn change() -> impl Strategy<Value = Option<Change>> {
    let change = (
        any::<prop::sample::Index>(),
        0..4_u8,
        any::<prop::sample::Index>(),
    );
    prop::option::weighted(
        0.7,
        change.prop_map(|(place, to, version)| Change { place, to, version }),
    )
}

/// When a call was sent, what it was answered and when, and what it was.
type Made = (u64, Option<(u64, Reply)>, Call);

/// Carries the calls out on a register that works.
fn carry_out(intents: &[Intent]) -> Vec<Made> {
    let mut sent = 0;
    let mut calls = Vec::new();
    for (number, intent) in intents.iter().enumerate() {
        sent += intent.gap;
        let after = if intent.is_lost { 3 } else { 1 };
        let effect = sent + intent.takes * after * intent.effect / 100;
        calls.push((effect, number, sent));
    }
    let mut in_effect = calls.clone();
    in_effect.sort_unstable();
    let (mut current, mut written): (Option<Ver>, Vec<Ver>) = (None, vec![Ver(999, 1)]);
    let mut outcomes = vec![None; intents.len()];
    let mut runs_out = 0;
    for (effect, number, _) in in_effect {
        let intent = &intents[number];
        current = current.filter(|_| effect < runs_out);
        let expected = *written
            .iter()
            .rev()
            .nth(intent.expects)
            .unwrap_or(&Ver(999, 1));
        let own = Ver(number as u64 + 1, 1);
        let of = |ver: Ver| record(ver.0, ver.1, Phase::Retryable);
        let found = current.map_or(Reply::Vacant, |ver| seen(of(ver)));
        let (what, applies, next) = match intent.kind {
            0 | 1 => (
                Call::Create {
                    record: of(own),
                    ttl_ms: intent.ttl,
                },
                current.is_none(),
                Some(own),
            ),
            2 => (
                Call::Update {
                    expected,
                    record: of(own),
                    ttl_ms: intent.ttl,
                },
                current == Some(expected),
                Some(own),
            ),
            3 => (Call::Delete { expected }, current == Some(expected), None),
            _ => (Call::Get, false, None),
        };
        let reply = if applies { Reply::Applied } else { found };
        if applies {
            current = next;
            runs_out = effect + intent.ttl;
            written.extend(next);
        }
        outcomes[number] = Some((what, reply));
    }
    calls
        .into_iter()
        .map(|(_, number, sent)| {
            let (what, reply) = outcomes[number].expect("every call was carried out");
            let intent = &intents[number];
            let reply = (!intent.is_lost).then_some((sent + intent.takes, reply));
            (sent, reply, what)
        })
        .collect()
}

fn history(intents: &[Intent], change: Option<&Change>) -> History {
    let mut calls = carry_out(intents);
    if let Some(change) = change {
        let versions: Vec<Ver> = calls
            .iter()
            .filter_map(|(_, _, what)| match what {
                Call::Create { record, .. } | Call::Update { record, .. } => Some(record.ver),
                _ => None,
            })
            .collect();
        let place = change.place.index(calls.len());
        if let (_, Some((_, reply)), what) = &mut calls[place] {
            *reply = match change.to {
                // A create says what is there, and a get applies nothing.
                0 if !matches!(what, Call::Create { .. }) => Reply::Vacant,
                1 if !matches!(what, Call::Get) => Reply::Applied,
                _ if change.to == 2 || versions.is_empty() => Reply::Failed(Fault::Unavailable),
                _ => {
                    let ver = versions[change.version.index(versions.len())];
                    seen(record(ver.0, ver.1, Phase::Retryable))
                }
            };
        }
    }
    let mut story = Story::new();
    for (sent, reply, what) in calls {
        story.call(None, sent, reply, what);
    }
    story.history
}

/// Whether the checks here, and whether the search finds something wrong.
fn opinions(history: &History) -> (bool, bool) {
    let mut ours = Findings::of(RECLAIM);
    segments::check(&history.calls, &durable(), &mut ours);
    let register = Register {
        slack: Duration::from_nanos(durable().slack),
        resends: false,
    };
    let theirs = match search(&register, &store_calls(&history.calls), LIMIT) {
        Ok(()) => false,
        Err(Violation::Inexplicable(_)) => true,
        Err(gave_up) => panic!("these are small: {gave_up}"),
    };
    (!ours.violations.is_empty(), theirs)
}

fn store_calls(calls: &[StoreCall]) -> Vec<Searched<Asked, StoreReply>> {
    let mut searched: Vec<_> = calls
        .iter()
        .map(|call| Searched {
            client: 0,
            invoked: time(call.sent),
            replied: call
                .reply
                .and_then(|(got, reply)| Some((time(got), replied(reply)?))),
            void_after: None,
            call: asked(call.what),
        })
        .collect();
    searched.sort_by_key(|call| call.invoked);
    searched
}

fn asked(call: Call) -> Asked {
    match call {
        Call::Create { record, ttl_ms } => Asked::Create(imprint(record), millis(ttl_ms)),
        Call::Update {
            expected,
            record,
            ttl_ms,
        } => Asked::Update(version(expected), imprint(record), millis(ttl_ms)),
        Call::Delete { expected } => Asked::Delete(version(expected)),
        Call::Get => Asked::Get,
    }
}

fn replied(reply: Reply) -> Option<StoreReply> {
    match reply {
        Reply::Applied => Some(StoreReply::Applied),
        Reply::Found(seen) => Some(StoreReply::Found(Some(imprint(seen.record)))),
        Reply::Vacant => Some(StoreReply::Found(None)),
        Reply::Failed(Fault::Unknown) => None,
        Reply::Failed(_) => Some(StoreReply::Refused),
    }
}

fn imprint(record: Summary) -> Imprint {
    Imprint {
        version: version(record.ver),
        hash: record.digest,
    }
}

fn version(Ver(token, revision): Ver) -> Version {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&token.to_be_bytes());
    Version {
        token: ClaimToken::from_bytes(bytes),
        revision,
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn both_come_to_the_same_result(
        intents in prop::collection::vec(intent(A_DAY..A_DAY + 1), 1..12),
        change in change(),
    ) {
        let history = history(&intents, change.as_ref());
        let (ours, theirs) = opinions(&history);
        prop_assert_eq!(ours, theirs, "{:#?}", history.calls);
        prop_assert!(!ours || change.is_some(), "{:#?}", history.calls);
    }

    /// Where records expire, the checks know more: a write whose reply was lost was made by the time
    /// that somebody saw it.
    #[test]
    fn what_the_search_finds_of_records_that_expire_is_found_here_as_well(
        intents in prop::collection::vec(intent(10..150), 1..12),
        change in change(),
    ) {
        let history = history(&intents, change.as_ref());
        let (ours, theirs) = opinions(&history);
        prop_assert!(ours || !theirs, "{:#?}", history.calls);
        prop_assert!(!ours || change.is_some(), "{:#?}", history.calls);
    }
}
