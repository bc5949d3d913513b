//! What failovers may do to what was acknowledged, and to what was not.

use super::{
    super::{Promise, Rule, Rules},
    story::{IN_FLIGHT, RECLAIM, Span, Story, aged, attempt, record, seen, with_failover},
};
use crate::event::{Fault, Phase, Reply};

const NONE: [Rule; 0] = [];
const DONE: Phase = Phase::Completed(77);
const FAILOVER: Span = (1000, 2000);

fn replicated() -> Rules {
    with_failover(Promise::Replicated, FAILOVER)
}

fn may_lose() -> Rules {
    with_failover(Promise::MayLose, FAILOVER)
}

/// Created and completed before the failover.
fn completed() -> Story {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((90, 100), (1, 1), record(1, 2, DONE), Reply::Applied);
    story
}

#[test]
fn what_stays_is_not_lost() {
    let mut story = completed();
    story.get((2500, 2510), seen(record(1, 2, DONE)));
    for rules in [replicated(), may_lose()] {
        assert_eq!(story.broken_under(RECLAIM, &rules), NONE);
        assert_eq!(story.lost_under(RECLAIM, &rules), 0);
    }
}

#[test]
fn a_write_that_is_rolled_back_is_lost() {
    let mut story = completed();
    story.get((2500, 2510), aged(record(1, 1, IN_FLIGHT), Some(2505)));
    assert_eq!(story.broken_under(RECLAIM, &may_lose()), NONE);
    assert_eq!(story.lost_under(RECLAIM, &may_lose()), 1);
    assert_eq!(story.broken_under(RECLAIM, &replicated()), [Rule::G5]);
}

#[test]
fn a_record_that_is_gone_is_lost_with_all_that_was_acknowledged_of_it() {
    let mut story = completed();
    story.create((2500, 2510), record(2, 1, IN_FLIGHT), Reply::Applied);
    assert_eq!(story.broken_under(RECLAIM, &may_lose()), NONE);
    assert_eq!(story.lost_under(RECLAIM, &may_lose()), 2);
    assert_eq!(story.broken_under(RECLAIM, &replicated()), [Rule::G5]);
}

#[test]
fn a_record_that_was_released_during_the_failover_is_not_lost() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .delete((1500, 1510), (1, 1), Reply::Applied)
        .create((2500, 2510), record(2, 1, IN_FLIGHT), Reply::Applied);
    assert_eq!(story.broken_under(RECLAIM, &replicated()), NONE);
}

#[test]
fn what_was_acknowledged_during_the_failover_is_lost_if_it_is_gone() {
    let mut story = Story::new();
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((1500, 1510), (1, 1), record(1, 2, DONE), Reply::Applied)
        .get((2500, 2510), aged(record(1, 1, IN_FLIGHT), Some(2505)));
    assert_eq!(story.lost_under(RECLAIM, &may_lose()), 1);
    assert_eq!(story.broken_under(RECLAIM, &replicated()), [Rule::G5]);
}

#[test]
fn what_was_not_acknowledged_may_be_gone() {
    let mut story = Story::new();
    let unknown = Reply::Failed(Fault::Unknown);
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((980, 1800), (1, 1), record(1, 2, DONE), unknown)
        // Somebody saw it on the old primary.
        .get((985, 995), seen(record(1, 2, DONE)))
        .get((2500, 2510), aged(record(1, 1, IN_FLIGHT), Some(2505)));
    assert_eq!(story.broken_under(RECLAIM, &replicated()), NONE);
}

#[test]
fn reads_during_the_failover_may_be_old_and_later_ones_may_not() {
    let mut story = completed();
    story
        .get((1500, 1510), aged(record(1, 1, IN_FLIGHT), Some(1505)))
        .get((2500, 2510), seen(record(1, 2, DONE)));
    assert_eq!(story.broken_under(RECLAIM, &replicated()), NONE);
    story.get((2600, 2610), aged(record(1, 1, IN_FLIGHT), Some(2605)));
    let broken = story.broken_under(RECLAIM, &replicated());
    assert!(broken.contains(&Rule::Linear), "{broken:?}");
}

#[test]
fn a_write_that_was_under_way_when_the_failover_began_may_come_into_effect_before_it() {
    let mut story = Story::new();
    let second = attempt(2, record(2, 2, IN_FLIGHT));
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((1990, 2600), (1, 1), second, Reply::Applied)
        .get((2100, 2110), aged(second, Some(90)))
        .get((2700, 2710), aged(second, Some(600)));
    assert_eq!(story.broken_under(RECLAIM, &replicated()), NONE);
}

#[test]
fn between_failovers_all_is_strict() {
    for rules in [replicated(), may_lose()] {
        let mut story = completed();
        let other = attempt(2, record(2, 2, IN_FLIGHT));
        story.update((500, 510), (1, 1), other, Reply::Applied);
        let broken = story.broken_under(RECLAIM, &rules);
        assert!(broken.contains(&Rule::Exact), "{broken:?}");
    }
}

#[test]
fn a_write_sent_again_after_the_failover_may_have_been_applied_during_it() {
    let mut story = Story::new();
    let unknown = Reply::Failed(Fault::Unknown);
    let second = attempt(2, record(2, 2, IN_FLIGHT));
    story
        .create((0, 10), record(1, 1, IN_FLIGHT), Reply::Applied)
        .update((1500, 1900), (1, 1), second, unknown)
        .update((2100, 2400), (1, 1), second, unknown)
        // Applied at 1600.
        .get((2290, 2300), aged(second, Some(700)));
    assert_eq!(story.broken_under(RECLAIM, &replicated()), NONE);
    story.get((2490, 2500), aged(second, Some(1600)));
    assert_eq!(story.broken_under(RECLAIM, &replicated()), [Rule::S4]);
}
