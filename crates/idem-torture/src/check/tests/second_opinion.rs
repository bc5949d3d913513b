//! The search for one order of all that clients were told.

use super::{
    super::{Findings, Rule, search},
    story::{HALT, IN_FLIGHT, RECLAIM, Story, aged, completed, durable, record},
};
use crate::{
    event::{Action, Ending, Fault, Reply, Told},
    key::KeyId,
};

/// Whether the answers to clients are explained; the store's calls are left out.
fn is_explained(mut story: Story, key: KeyId) -> bool {
    story.history.calls.clear();
    let mut found = Findings::of(key);
    assert_eq!(
        search::check(key, &story.history, &durable(), &mut found),
        0
    );
    assert!(
        found
            .violations
            .iter()
            .all(|violation| violation.rule == Rule::Search)
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
    assert!(is_explained(story, RECLAIM));
}

#[test]
fn two_claims_do_not_win_within_a_lease() {
    let mut story = Story::new();
    story.claim_won((0, 10), 1);
    story.claim_taken_over((500, 510), (1, 1), 2);
    assert!(!is_explained(story, RECLAIM));
}

#[test]
fn after_an_answer_there_is_no_other() {
    let mut story = completed();
    story.replayed((150, 160), (1, 2), 78);
    assert!(!is_explained(story, RECLAIM));
}

#[test]
fn an_operator_settles_what_was_abandoned_and_not_what_is_trusted() {
    let settled_at = |at| {
        let mut story = Story::new();
        story.claim_won((0, 10), 1);
        let resolution = Ending::Complete(5);
        story.ask((at, at + 10), Action::Resolve { resolution }, Told::Done);
        story.replayed((at + 20, at + 30), (1, 2), 5);
        is_explained(story, HALT)
    };
    assert!(settled_at(1100));
    assert!(!settled_at(500));
}

/// It may have been taken over and released by the one who did.
#[test]
fn a_release_after_a_lost_reply_proves_nothing() {
    let released = |lost: bool| {
        let mut story = Story::new();
        let execution = story.claim_won((0, 10), 1);
        story.claim_taken_over((1100, 1110), (1, 1), 2);
        let ending = Ending::Release;
        let what = Action::End { execution, ending };
        let release = story.ask((1200, 1210), what, Told::Stored);
        let mut found = Findings::of(RECLAIM);
        if lost {
            let unknown = Reply::Failed(Fault::Unknown);
            let delete = crate::event::Call::Delete {
                expected: crate::event::Ver(1, 1),
            };
            story.call(Some(release), 1200, Some((1205, unknown)), delete);
        }
        search::check(RECLAIM, &story.history, &durable(), &mut found);
        found.violations.is_empty()
    };
    assert!(released(true));
    assert!(!released(false));
}
