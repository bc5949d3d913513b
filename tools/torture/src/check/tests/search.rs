//! The search for one order of all that clients were told.

use super::{
    super::{Findings, search},
    story::{HALT, IN_FLIGHT, RECLAIM, SHORT, Story, aged, completed, durable, record},
};
use crate::{
    event::{Action, Call, Ending, Fault, Id, Phase, Reply, Summary, Told, Ver},
    key::KeyId,
};

/// Whether the answers to clients are explained.
fn is_explained(story: &Story, key: KeyId) -> bool {
    let mut found = Findings::of(key);
    assert_eq!(
        search::check(key, &story.history, &durable(), &mut found),
        0
    );
    found.violations.is_empty()
}

#[test]
fn a_life_without_faults_is_explained() {
    let mut story = completed();
    story
        .told(
            (20, 30),
            aged(record(1, 1, IN_FLIGHT), Some(20)),
            Told::InFlight,
        )
        .replayed((150, 160), (1, 2), 77);
    assert!(is_explained(&story, RECLAIM));
}

#[test]
fn two_claims_do_not_win_within_a_lease() {
    let mut story = Story::new();
    story.claim_won((0, 10), 1);
    story.claim_taken_over((500, 510), (1, 1), 2);
    assert!(!is_explained(&story, RECLAIM));
}

#[test]
fn after_an_answer_there_is_no_other() {
    let mut story = completed();
    story.replayed((150, 160), (1, 2), 78);
    assert!(!is_explained(&story, RECLAIM));
}

#[test]
fn an_operator_settles_what_was_abandoned_and_not_what_is_trusted() {
    let settled_at = |at| {
        let mut story = Story::new();
        story.claim_won((0, 10), 1);
        let resolution = Ending::Complete(5);
        story.ask((at, at + 10), Action::Resolve { resolution }, Told::Done);
        story.replayed((at + 20, at + 30), (1, 2), 5);
        is_explained(&story, HALT)
    };
    assert!(settled_at(1100));
    assert!(!settled_at(500));
}

/// It may have been stored, and have expired before it was sent again.
#[test]
fn an_execution_that_is_called_superseded_after_its_answer_expired_may_have_stored_it() {
    let failed = |told_at: u64| {
        let mut story = Story::new();
        let execute = Action::Execute { request: 0 };
        let execution = story.ask((0, told_at), execute, Told::Superseded);
        story.work(execution, 10, 1);
        story.stop(execution, 100, Some(Ending::Fail(7)));
        let update = Call::Update {
            expected: Ver(1, 1),
            record: record(1, 2, Phase::Failed(7)),
            ttl_ms: 1500,
        };
        story.call(Some(execution), 100, None, update);
        let stored = aged(record(1, 2, Phase::Failed(7)), Some(100));
        story.told((200, 210), stored, Told::ReplayFailure(7));
        is_explained(&story, SHORT)
    };
    assert!(failed(3000));
    assert!(!failed(1400));
}

/// An update that was sent for this question at the first moment, and given up at the second.
fn lost_update(
    story: &mut Story,
    by: Id,
    (sent, given_up): (u64, u64),
    expected: Ver,
    record: Summary,
) {
    let update = Call::Update {
        expected,
        record,
        ttl_ms: 1000,
    };
    let unknown = Reply::Failed(Fault::Unknown);
    story.call(Some(by), sent, Some((given_up, unknown)), update);
}

/// The key may have been settled as asked, and have been claimed anew since.
#[test]
fn a_settlement_that_met_another_record_after_a_lost_reply_may_have_been_made() {
    let settled = |lost: bool| {
        let mut story = Story::new();
        story.claim_won((0, 10), 1);
        let resolution = Ending::Retry;
        let what = Action::Resolve { resolution };
        let settling = story.ask((1100, 2000), what, Told::Changed);
        if lost {
            lost_update(
                &mut story,
                settling,
                (1110, 1600),
                Ver(1, 1),
                record(2, 2, Phase::Retryable),
            );
        }
        story.claim_taken_over((1300, 1310), (2, 2), 3);
        is_explained(&story, HALT)
    };
    assert!(settled(true));
    assert!(!settled(false));
}

/// It held the key unseen for a lease, and another claim had taken the key over when it asked again.
#[test]
fn a_take_over_whose_reply_was_lost_may_have_held_a_released_key() {
    let released = |lost: bool| {
        let mut story = Story::new();
        let execution = story.claim_won((0, 10), 1);
        let ending = Ending::Release;
        let what = Action::End { execution, ending };
        story.ask((100, 110), what, Told::Stored);
        let corrected = Action::Claim { request: 1 };
        let claim = story.ask((200, 2500), corrected, Told::InFlight);
        if lost {
            lost_update(
                &mut story,
                claim,
                (210, 600),
                Ver(1, 2),
                record(2, 3, IN_FLIGHT),
            );
        }
        let first = Action::Claim { request: 0 };
        story.ask((700, 710), first, Told::Mismatch);
        is_explained(&story, RECLAIM)
    };
    assert!(released(true));
    assert!(!released(false));
}

/// It came through when the claim had been refused, and was given back within its lease.
#[test]
fn a_take_over_of_a_refused_claim_may_have_been_given_back() {
    let acquired = |lost: bool| {
        let mut story = Story::new();
        let execution = story.claim_won((0, 10), 1);
        let ending = Ending::Retry;
        story.ask((100, 110), Action::End { execution, ending }, Told::Stored);
        let again = Action::Claim { request: 0 };
        let refused = story.ask((200, 300), again, Told::InFlight);
        if lost {
            lost_update(
                &mut story,
                refused,
                (210, 250),
                Ver(1, 2),
                record(2, 3, IN_FLIGHT),
            );
        }
        let third = Told::Acquired {
            attempt: 3,
            resumed: None,
        };
        story.ask((400, 410), again, third);
        is_explained(&story, RECLAIM)
    };
    assert!(acquired(true));
    assert!(!acquired(false));
}
