//! Effects and completions under `Halt`.

use super::{
    super::{Promise, Rule},
    story::{HALT, Story, record, seen, with_failover},
};
use crate::{
    event::{Action, Phase, Told},
    worker::{Entry, payload_of},
};

const NONE: [Rule; 0] = [];

fn effect(answer: &str) -> Entry {
    Entry::Effect {
        attempt: 1,
        answer: answer.to_owned(),
    }
}

/// Completed with the answer `a`, and looked up at the end.
fn completed(ledger: &[Entry]) -> Story {
    let mut story = Story::new();
    let payload = payload_of("a");
    let execution = story.claim_won((0, 10), 1);
    story.completed(execution, (90, 100), (1, 1), payload);
    let end = record(1, 2, Phase::Completed(payload));
    story.ask((500, 510), Action::Lookup, Told::Found(Some(end)));
    story.get((500, 510), seen(end));
    story.ledger = ledger.to_vec();
    story
}

#[test]
fn one_effect_for_one_completion() {
    let fence = Entry::Fence { attempt: 1 };
    assert_eq!(completed(&[fence, effect("a")]).broken(HALT), NONE);
}

#[test]
fn a_second_effect_is_found() {
    let story = completed(&[effect("a"), effect("b")]);
    assert_eq!(story.broken(HALT), [Rule::Effects]);
}

#[test]
fn a_completion_without_effect_is_found() {
    assert_eq!(completed(&[]).broken(HALT), [Rule::Effects]);
}

#[test]
fn a_completion_with_the_answer_of_another_effect_is_found() {
    assert_eq!(completed(&[effect("b")]).broken(HALT), [Rule::Effects]);
}

#[test]
fn an_effect_that_may_happen_again_is_found() {
    let mut story = Story::new();
    story.ask((500, 510), Action::Lookup, Told::Found(None));
    story.ledger = vec![effect("a")];
    assert_eq!(story.broken(HALT), [Rule::Effects]);
}

#[test]
fn after_a_loss_that_was_to_be_expected_effects_are_not_compared() {
    let story = completed(&[effect("a"), effect("b")]);
    let may_lose = with_failover(Promise::MayLose, (200, 300));
    assert_eq!(story.broken_under(HALT, &may_lose), NONE);
    let replicated = with_failover(Promise::Replicated, (200, 300));
    assert_eq!(story.broken_under(HALT, &replicated), [Rule::Effects]);
}
