//! What the contents of a record, its age and its lease may not be.

use super::{
    super::{Rule, Rules, Window},
    store::completed,
    story::{IN_FLIGHT, RECLAIM, Story, aged, attempt, durable, record, seen},
};
use crate::clock::MILLISECOND;
use crate::event::{Fault, Phase, Reply, Summary};

const DONE: Phase = Phase::Completed(77);
const NONE: [Rule; 0] = [];

#[test]
fn s4_an_age_is_the_time_since_the_write() {
    let seen_with = |age| {
        let mut story = Story::new();
        story
            .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
            .get((500, 510), aged(record(1, 1, IN_FLIGHT), age));
        story.broken(RECLAIM)
    };
    assert_eq!(seen_with(Some(495)), NONE);
    assert_eq!(seen_with(Some(400)), [Rule::S4], "too young");
    assert_eq!(seen_with(Some(600)), [Rule::S4], "too old");
    assert_eq!(seen_with(None), [Rule::S4], "none at all, though in flight");
}

/// By as long as it was on its way, and not before that.
#[test]
fn s4_a_record_that_was_moved_to_another_node_may_seem_younger() {
    let seen_with = |age, from, to| {
        let mut story = Story::new();
        story
            .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
            .get((500, 510), aged(record(1, 1, IN_FLIGHT), Some(age)));
        let move_of_its_slot = Window {
            from: from * MILLISECOND,
            to: to * MILLISECOND,
        };
        let rules = Rules {
            moved: vec![move_of_its_slot],
            ..durable()
        };
        story.broken_under(RECLAIM, &rules)
    };
    assert_eq!(seen_with(400, 100, 300), NONE);
    assert_eq!(
        seen_with(200, 100, 300),
        [Rule::S4],
        "longer than it was on its way"
    );
    assert_eq!(seen_with(400, 600, 800), [Rule::S4], "not moved yet");
    assert_eq!(seen_with(600, 100, 300), [Rule::S4], "older");
}

#[test]
fn s7_what_is_seen_was_written_and_as_it_was_written() {
    let mut story = completed();
    let changed = Summary {
        digest: 5,
        ..record(1, 2, DONE)
    };
    story.get((200, 210), seen(changed));
    assert_eq!(story.broken(RECLAIM), [Rule::S7]);

    let mut story = Story::new();
    story.get((200, 210), seen(record(4, 4, DONE)));
    assert!(story.broken(RECLAIM).contains(&Rule::S7));

    let mut story = Story::new();
    story.get((200, 210), Reply::Failed(Fault::Corrupt));
    assert_eq!(story.broken(RECLAIM), [Rule::S7]);
}

#[test]
fn s9_a_write_that_was_refused_is_not_there() {
    for refusal in [Fault::Unavailable, Fault::Full] {
        let mut story = Story::new();
        story
            .create((0, 10), record(1, 1, DONE), Reply::Failed(refusal))
            .get((20, 30), seen(record(1, 1, DONE)));
        assert!(story.broken(RECLAIM).contains(&Rule::S9), "{refusal:?}");
    }
}

#[test]
fn s9_nothing_is_built_on_a_write_that_was_refused() {
    let mut story = Story::new();
    let refused = Reply::Failed(Fault::Unavailable);
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), refused)
        .update((20, 30), (1, 1), record(1, 2, DONE), Reply::Applied);
    assert!(story.broken(RECLAIM).contains(&Rule::S9));
}

#[test]
fn linear_a_record_is_not_seen_before_it_is_written() {
    let mut story = completed();
    story.get((20, 30), seen(record(1, 2, DONE)));
    assert!(story.broken(RECLAIM).contains(&Rule::Linear));
}

#[test]
fn g1_a_lease_is_not_taken_over_before_it_is_over() {
    let taken_over_at = |at| {
        let mut story = Story::new();
        let other = attempt(2, record(2, 2, IN_FLIGHT));
        story
            .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
            .update((at, at + 10), (1, 1), other, Reply::Applied);
        story.broken(RECLAIM)
    };
    assert_eq!(taken_over_at(500), [Rule::G1]);
    assert_eq!(taken_over_at(1000), NONE);
}

#[test]
fn g1_a_take_over_whose_reply_was_lost_is_judged_by_when_it_was_seen() {
    let mut story = Story::new();
    let other = attempt(2, record(2, 2, IN_FLIGHT));
    let unknown = Reply::Failed(Fault::Unknown);
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((400, 5000), (1, 1), other, unknown)
        .get((600, 610), aged(other, Some(100)));
    assert_eq!(story.broken(RECLAIM), [Rule::G1]);
}

#[test]
fn g1_attempts_are_counted() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update(
            (1100, 1110),
            (1, 1),
            record(2, 2, IN_FLIGHT),
            Reply::Applied,
        );
    assert_eq!(story.broken(RECLAIM), [Rule::G1]);
}

#[test]
fn g2_an_ending_is_not_replaced() {
    let mut story = completed();
    let other = attempt(2, record(2, 3, IN_FLIGHT));
    story.update((5000, 5010), (1, 2), other, Reply::Applied);
    assert_eq!(story.broken(RECLAIM), [Rule::G2]);
}

#[test]
fn g4_a_record_does_not_become_another_requests() {
    let mut story = Story::new();
    let other = Summary {
        fingerprint: 99,
        ..attempt(2, record(2, 2, IN_FLIGHT))
    };
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((1100, 1110), (1, 1), other, Reply::Applied);
    assert_eq!(story.broken(RECLAIM), [Rule::G4]);
}

#[test]
fn g4_a_released_record_may_become_another_requests() {
    let mut story = Story::new();
    let other = Summary {
        fingerprint: 99,
        ..attempt(2, record(2, 3, IN_FLIGHT))
    };
    let released = record(1, 2, Phase::Released);
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((20, 30), (1, 1), released, Reply::Applied)
        .update((40, 50), (1, 2), other, Reply::Applied);
    assert_eq!(story.broken(RECLAIM), NONE);
}
