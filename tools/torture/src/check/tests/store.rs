//! What a store may not do.

use super::{
    super::Rule,
    story::{IN_FLIGHT, RECLAIM, SHORT, Story, aged, attempt, record, seen},
};
use crate::event::{Call, Fault, Phase, Reply, Ver};

const DONE: Phase = Phase::Completed(77);
const NONE: [Rule; 0] = [];

/// Created by token 1 and completed, at 10 and at 100 ms.
pub(super) fn completed() -> Story {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((90, 100), (1, 1), record(1, 2, DONE), Reply::Applied);
    story
}

#[test]
fn a_life_without_faults_breaks_nothing() {
    let mut story = completed();
    story
        .get((20, 30), aged(record(1, 1, IN_FLIGHT), Some(20)))
        .get((200, 210), seen(record(1, 2, DONE)));
    assert_eq!(story.broken(RECLAIM), NONE);
}

#[test]
fn a_write_whose_reply_was_lost_may_have_been_applied_or_not() {
    for was_seen in [false, true] {
        let mut story = Story::new();
        let what = Call::Create {
            record: record(1, 1, IN_FLIGHT),
            ttl_ms: 1000,
        };
        story.call(None, 0, None, what);
        if was_seen {
            story.get((500, 510), aged(record(1, 1, IN_FLIGHT), Some(300)));
        } else {
            story.get((500, 510), Reply::Vacant);
        }
        assert_eq!(story.broken(RECLAIM), NONE, "{was_seen}");
    }
}

#[test]
fn a_write_may_be_sent_again_and_find_itself() {
    let mut story = completed();
    let unknown = Reply::Failed(Fault::Unknown);
    story
        .update((100, 150), (1, 2), record(1, 3, DONE), unknown)
        .update(
            (160, 170),
            (1, 2),
            record(1, 3, DONE),
            seen(record(1, 3, DONE)),
        );
    // An ending is not replaced by anybody, but that is another rule.
    assert_eq!(story.broken(RECLAIM), [Rule::G2]);
}

#[test]
fn a_deleted_record_makes_room_for_another() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .delete((20, 30), (1, 1), Reply::Applied)
        .get((40, 50), Reply::Vacant)
        .create((60, 70), record(2, 1, IN_FLIGHT), Reply::Applied);
    assert_eq!(story.broken(RECLAIM), NONE);
}

#[test]
fn linear_a_read_is_not_older_than_a_write_that_ended_before_it() {
    let mut story = completed();
    story.get((101, 110), aged(record(1, 1, IN_FLIGHT), Some(105)));
    assert_eq!(story.broken(RECLAIM), [Rule::Linear]);
}

#[test]
fn linear_two_creates_do_not_both_win() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .create((0, 12), record(2, 1, IN_FLIGHT), Reply::Applied)
        .get((20, 30), aged(record(1, 1, IN_FLIGHT), Some(20)))
        .get((25, 35), aged(record(2, 1, IN_FLIGHT), Some(20)));
    let broken = story.broken(RECLAIM);
    assert!(broken.contains(&Rule::Linear), "{broken:?}");
}

#[test]
fn s6_of_two_creates_that_won_the_first_record_would_be_gone() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .create((20, 30), record(2, 1, IN_FLIGHT), Reply::Applied);
    assert_eq!(story.broken(RECLAIM), [Rule::S6]);
}

#[test]
fn linear_nobody_is_told_of_nothing_while_there_is_a_record() {
    let mut story = completed();
    story
        .get((20, 30), Reply::Vacant)
        .get((40, 50), aged(record(1, 1, IN_FLIGHT), Some(40)));
    assert_eq!(story.broken(RECLAIM), [Rule::Linear]);
}

#[test]
fn s6_a_record_does_not_go_before_its_time() {
    let mut story = completed();
    story.get((500, 510), Reply::Vacant);
    assert_eq!(story.broken(RECLAIM), [Rule::S6]);
}

#[test]
fn s6_a_delete_whose_reply_was_lost_explains_what_is_gone() {
    let mut story = completed();
    let expected = Ver(1, 2);
    story
        .call(None, 300, None, Call::Delete { expected })
        .get((500, 510), Reply::Vacant);
    assert_eq!(story.broken(RECLAIM), NONE);
}

#[test]
fn s6_a_write_whose_reply_was_lost_may_have_shortened_the_time() {
    let mut story = Story::new();
    let short = Call::Update {
        expected: Ver(1, 1),
        record: record(1, 2, DONE),
        ttl_ms: 100,
    };
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .call(None, 20, None, short)
        .get((500, 510), Reply::Vacant);
    assert_eq!(story.broken(RECLAIM), NONE);
}

#[test]
fn s5_a_record_is_gone_after_its_time() {
    let short = Call::Create {
        record: record(1, 1, DONE),
        ttl_ms: 100,
    };
    let at = |sent, got, reply| {
        let mut story = Story::new();
        story.call(None, 0, Some((10, Reply::Applied)), short);
        story.get((sent, got), reply);
        story.broken(SHORT)
    };
    assert_eq!(at(90, 95, seen(record(1, 1, DONE))), NONE);
    assert_eq!(at(200, 210, Reply::Vacant), NONE);
    assert_eq!(at(200, 210, seen(record(1, 1, DONE))), [Rule::S5]);
    assert_eq!(at(50, 60, Reply::Vacant), [Rule::S6]);
}

#[test]
fn s5_what_has_expired_is_not_updated_either() {
    let mut story = Story::new();
    let short = Call::Create {
        record: record(1, 1, IN_FLIGHT),
        ttl_ms: 100,
    };
    story
        .call(None, 0, Some((10, Reply::Applied)), short)
        .update((300, 310), (1, 1), record(1, 2, DONE), Reply::Applied);
    assert_eq!(story.broken(SHORT), [Rule::S5]);
}

#[test]
fn exact_a_version_is_replaced_once() {
    let mut story = completed();
    let other = attempt(2, record(2, 2, IN_FLIGHT));
    story.update((2000, 2010), (1, 1), other, Reply::Applied);
    assert!(story.broken(RECLAIM).contains(&Rule::Exact));
}

#[test]
fn exact_a_write_to_the_version_that_is_there_is_not_refused() {
    let mut story = completed();
    let found = seen(record(1, 2, DONE));
    story.delete((200, 210), (1, 2), found);
    assert_eq!(story.broken(RECLAIM), [Rule::Exact]);
}

#[test]
fn exact_a_version_is_not_removed_after_it_was_replaced() {
    let mut story = completed();
    story.delete((200, 210), (1, 1), Reply::Applied);
    assert_eq!(story.broken(RECLAIM), [Rule::Exact]);
}

#[test]
fn exact_nothing_is_built_on_what_nobody_wrote() {
    let mut story = Story::new();
    story.update((0, 10), (9, 9), record(9, 10, DONE), Reply::Applied);
    assert_eq!(story.broken(RECLAIM), [Rule::Exact]);
}

#[test]
fn exact_a_write_is_applied_once() {
    let mut story = completed();
    story.update((150, 160), (1, 1), record(1, 2, DONE), Reply::Applied);
    assert_eq!(story.broken(RECLAIM), [Rule::Exact]);
}

#[test]
fn exact_no_two_writes_share_a_version() {
    let mut story = completed();
    let other = record(1, 2, Phase::Completed(78));
    let found = seen(record(1, 2, DONE));
    story.update((150, 160), (1, 1), other, found);
    assert_eq!(story.broken(RECLAIM), [Rule::Exact]);
}
