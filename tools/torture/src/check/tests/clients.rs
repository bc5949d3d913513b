//! What clients may not be told.

use super::{
    super::Rule,
    story::{IN_FLIGHT, RECLAIM, SHORT, Story, aged, attempt, completed, record, seen},
};
use crate::event::{Action, Call, Ending, Fault, Phase, Reply, Told, Ver};

const NONE: [Rule; 0] = [];

#[test]
fn a_life_without_faults_breaks_nothing() {
    let mut story = completed();
    story
        .told(
            (20, 30),
            aged(record(1, 1, IN_FLIGHT), Some(20)),
            Told::InFlight,
        )
        .replayed((150, 160), (1, 2), 77);
    assert_eq!(story.broken(RECLAIM), NONE);
}

#[test]
fn g1_two_executions_are_not_at_work_at_once() {
    let story = |taken_over: u64| {
        let mut story = Story::new();
        let first = story.claim_won((0, 10), 1);
        story.claim_taken_over((taken_over, taken_over + 10), (1, 1), 2);
        story.stop(first, 5000, None);
        story.broken(RECLAIM)
    };
    assert_eq!(story(400), [Rule::G1]);
    assert_eq!(story(1100), NONE);
}

/// By the answers to clients alone, whatever the store's versions say: the second one is created
/// anew, as by a store that forgot the first.
#[test]
fn g1_a_renewal_counts_as_a_sign_of_life() {
    let story = |renewed: u64| {
        let mut story = Story::new();
        let first = story.claim_won((0, 10), 1);
        let what = Action::Renew { execution: first };
        let renewal = story.ask((renewed, renewed + 5), what, Told::Done);
        let what = Call::Update {
            expected: Ver(1, 1),
            record: record(1, 2, IN_FLIGHT),
            ttl_ms: 1_000_000,
        };
        let applied = Some((renewed + 5, Reply::Applied));
        story.call(Some(renewal), renewed, applied, what);
        story.claim_taken_over((1100, 1110), (1, 2), 2);
        story.stop(first, 5000, None);
        story.broken(RECLAIM)
    };
    assert_eq!(story(50), NONE);
    assert_eq!(story(600), [Rule::G1]);
}

#[test]
fn g1_nobody_works_without_a_claim_in_the_store() {
    let mut story = Story::new();
    let acquired = Told::Acquired {
        attempt: 1,
        resumed: None,
    };
    let id = story.ask((0, 10), Action::Claim { request: 0 }, acquired);
    let found = aged(record(5, 1, IN_FLIGHT), Some(1));
    let what = Call::Create {
        record: record(6, 1, IN_FLIGHT),
        ttl_ms: 1000,
    };
    story
        .create((0, 5), record(5, 1, IN_FLIGHT), Reply::Applied)
        .call(Some(id), 5, Some((8, found)), what)
        .work(id, 10, 1);
    assert_eq!(story.broken(RECLAIM), [Rule::G1]);
}

#[test]
fn g2_two_different_answers_are_not_told() {
    let mut story = completed();
    story
        .replayed((150, 160), (1, 2), 77)
        .replayed((170, 180), (1, 2), 78);
    assert!(story.broken(RECLAIM).contains(&Rule::G2));
}

#[test]
fn g2_a_key_that_expired_may_get_another_answer_later_but_not_in_between() {
    let replays = |times: [u64; 3]| {
        let mut story = Story::new();
        for (payload, ended) in [(77, 0), (78, 3000)] {
            let ending = Ending::Complete(payload);
            let execution = 500 + payload;
            let what = Action::End { execution, ending };
            story.ask((ended, ended + 10), what, Told::Superseded);
        }
        // Only the answers count here, not the store's calls.
        for (at, payload) in times.into_iter().zip([77, 78, 77]) {
            let what = Action::Claim { request: 0 };
            story.ask((at, at + 10), what, Told::Replay(payload));
        }
        story.broken(SHORT)
    };
    let in_turns = replays([100, 3100, 3200]);
    assert!(in_turns.contains(&Rule::G2), "{in_turns:?}");
}

#[test]
fn g2_what_is_replayed_was_stored_by_somebody() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, Phase::Completed(5)), Reply::Applied)
        .replayed((20, 30), (1, 1), 5);
    assert_eq!(story.broken(RECLAIM), [Rule::G2]);
}

#[test]
fn g2_a_replay_is_what_the_store_answered() {
    let mut story = completed();
    let found = seen(record(1, 2, Phase::Completed(77)));
    story.told((150, 160), found, Told::ReplayFailure(77));
    assert!(story.broken(RECLAIM).contains(&Rule::G2));
}

#[test]
fn g3_what_a_superseded_execution_wanted_to_store_is_told_to_nobody() {
    let mut story = Story::new();
    let first = story.claim_won((0, 10), 1);
    let ending = Ending::Complete(66);
    let what = Action::End {
        execution: first,
        ending,
    };
    story.stop(first, 1500, Some(ending));
    story.ask((1500, 1510), what, Told::Superseded);
    let second = story.claim_taken_over((1100, 1110), (1, 1), 2);
    let mut clean = story.clone();
    clean.stop(second, 5000, None);
    assert_eq!(clean.broken(RECLAIM), NONE);

    // The store lets it in, over the version that it expected long ago.
    story
        .update(
            (1500, 1510),
            (1, 1),
            record(1, 2, Phase::Completed(66)),
            Reply::Applied,
        )
        .replayed((1600, 1610), (1, 2), 66);
    let broken = story.broken(RECLAIM);
    assert!(broken.contains(&Rule::G3), "{broken:?}");
    assert!(broken.contains(&Rule::Exact), "{broken:?}");
}

#[test]
fn g4_another_request_is_told_that_it_is_another_whatever_the_state() {
    let mut story = completed();
    let other = Action::Claim { request: 1 };
    let found = seen(record(1, 2, Phase::Completed(77)));
    let look = Call::Create {
        record: record(7, 1, IN_FLIGHT),
        ttl_ms: 1000,
    };
    let id = story.ask((200, 210), other, Told::Mismatch);
    story.call(Some(id), 200, Some((210, found)), look);
    assert_eq!(story.broken(RECLAIM), NONE);

    for answer in [Told::InFlight, Told::Replay(77)] {
        let mut story = story.clone();
        let id = story.ask((300, 310), other, answer);
        let look = Call::Create {
            record: record(8, 1, IN_FLIGHT),
            ttl_ms: 1000,
        };
        story.call(Some(id), 300, Some((310, found)), look);
        assert!(!story.broken(RECLAIM).is_empty(), "{answer:?}");
    }
}

#[test]
fn g4_the_same_request_is_not_told_that_it_is_another() {
    let mut story = Story::new();
    story.claim_won((0, 10), 1);
    let found = aged(record(1, 1, IN_FLIGHT), Some(20));
    story.told((20, 30), found, Told::Mismatch);
    assert_eq!(story.broken(RECLAIM), [Rule::G4]);
}

#[test]
fn g5_an_answer_that_was_acknowledged_is_not_lost() {
    for answer in [
        Told::InFlight,
        Told::Mismatch,
        Told::Found(None),
        Told::Acquired {
            attempt: 1,
            resumed: None,
        },
    ] {
        let mut story = completed();
        let what = match answer {
            Told::Found(_) => Action::Lookup,
            _ => Action::Claim { request: 0 },
        };
        story.ask((200, 210), what, answer);
        let broken = story.broken(RECLAIM);
        assert!(broken.contains(&Rule::G5), "{answer:?}: {broken:?}");
    }
}

#[test]
fn g5_an_answer_that_expired_may_be_gone() {
    let mut story = completed();
    story.ask((2000, 2010), Action::Lookup, Told::Found(None));
    assert_eq!(story.broken(SHORT), NONE);
    assert_eq!(story.broken(RECLAIM), [Rule::G5]);
}

#[test]
fn g5_no_answer_from_the_store_proves_nothing() {
    let mut story = completed();
    for answer in [Told::Failed(Fault::Unknown), Told::Gone] {
        story.ask((200, 210), Action::Claim { request: 0 }, answer);
    }
    assert_eq!(story.broken(RECLAIM), NONE);
}

#[test]
fn g5_what_is_called_stored_was_stored() {
    let mut story = Story::new();
    let execution = story.claim_won((0, 10), 1);
    let ending = Ending::Fail(5);
    story.stop(execution, 50, Some(ending));
    story.ask((50, 60), Action::End { execution, ending }, Told::Stored);
    assert_eq!(story.broken(RECLAIM), [Rule::G5]);
}

#[test]
fn an_abandoned_key_is_called_so_while_its_lease_is_over() {
    let mut story = Story::new();
    let execution = story.claim_won((0, 10), 1);
    story.stop(execution, 20, None);
    let lapsed = aged(record(1, 1, IN_FLIGHT), Some(1495));
    story.told((1500, 1510), lapsed, Told::Abandoned { attempt: 1 });
    assert_eq!(story.broken(RECLAIM), NONE);
    let other = attempt(2, record(2, 2, IN_FLIGHT));
    story.update((1600, 1610), (1, 1), other, Reply::Applied);
    assert_eq!(story.broken(RECLAIM), NONE);
}
