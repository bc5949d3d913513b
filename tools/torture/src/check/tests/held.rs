//! Keys that were lost although their holder's process lived, and answers that never landed.

use super::{
    super::{Findings, Rule, Rules, Window, held},
    story::{RECLAIM, SHORT, Story, durable},
};
use crate::{
    clock::MILLISECOND,
    event::Ending,
    history::{Attempt, Ended, Life, Lives},
    key::KeyId,
};

const ENDING: Ending = Ending::Complete(77);

/// Claimed at 10 ms, to be completed from 100 ms on, and taken over 1200 ms later.
fn robbed() -> Story {
    let mut story = Story::new();
    let execution = story.claim_won((0, 10), 1);
    story.stop(execution, 100, Some(ENDING));
    story.claim_taken_over((1290, 1300), (1, 1), 2);
    story
}

/// A process that lives, and whose writes ended like this.
fn life(writes: &[(u64, Ended)]) -> Life {
    let writes = writes.iter().map(|(at, how)| Attempt {
        ended: at * MILLISECOND,
        how: *how,
    });
    Life {
        beats: (0..100).map(|beat| beat * 25 * MILLISECOND).collect(),
        drained: None,
        writes: writes.collect(),
    }
}

/// With a fault between 0 and 2000 ms that spares holders.
fn rules() -> Rules {
    let window = Window {
        from: 0,
        to: 2000 * MILLISECOND,
    };
    Rules {
        spared: vec![window],
        ..durable()
    }
}

fn broken(story: &Story, key: KeyId, life: Life, rules: &Rules) -> Vec<Rule> {
    let mut found = Findings::of(key);
    let lives = Lives::from([(0, life)]);
    held::check(key, &story.history, &lives, rules, &mut found);
    found.violations.iter().map(|found| found.rule).collect()
}

#[test]
fn a_key_that_is_lost_while_its_ending_waits_is_found() {
    assert_eq!(
        broken(&robbed(), RECLAIM, life(&[]), &rules()),
        [Rule::Held]
    );
}

#[test]
fn a_key_may_be_lost_by_a_process_that_was_paused() {
    let mut paused = life(&[]);
    paused
        .beats
        .retain(|at| !(20..40).contains(&(at / 25 / MILLISECOND)));
    assert!(broken(&robbed(), RECLAIM, paused, &rules()).is_empty());
}

#[test]
fn a_key_may_be_lost_while_faults_strike_that_spare_nobody() {
    assert!(broken(&robbed(), RECLAIM, life(&[]), &durable()).is_empty());
}

#[test]
fn an_ending_that_is_given_up_soon_holds_its_key_no_longer() {
    assert!(broken(&robbed(), SHORT, life(&[]), &rules()).is_empty());
}

#[test]
fn a_key_may_be_lost_by_who_was_not_at_work() {
    let mut story = robbed();
    story.history.works[0].stop = None;
    assert!(broken(&story, RECLAIM, life(&[]), &rules()).is_empty());
}

#[test]
fn after_an_outage_that_was_noticed_there_is_no_excuse() {
    // One life is that of both.
    for how in [Ended::Failed, Ended::Full] {
        let outage = life(&[(200, how), (900, how), (1250, Ended::Applied)]);
        assert_eq!(broken(&robbed(), RECLAIM, outage, &rules()), [Rule::Held]);
    }
}

/// What is found where the claim is another process's.
fn broken_by_another(holder: Life, claimer: Life) -> Vec<Rule> {
    let mut found = Findings::of(RECLAIM);
    let mut story = robbed();
    let claim = story.history.questions[1].id;
    let other = claim + (1 << 40);
    story.history.questions[1].id = other;
    story.history.works[1].execution = other;
    story.history.calls[1].by = Some(other);
    let lives = Lives::from([(0, holder), (1, claimer)]);
    held::check(RECLAIM, &story.history, &lives, &rules(), &mut found);
    found.violations.iter().map(|found| found.rule).collect()
}

#[test]
fn after_an_outage_that_the_claimer_did_not_notice_a_key_may_be_lost() {
    let outage = life(&[(200, Ended::Failed), (900, Ended::Failed)]);
    let found = broken_by_another(outage, life(&[(600, Ended::Applied)]));
    assert!(found.is_empty(), "{found:?}");
}

/// Who was stopped in the outage knows no better when it was over than when it goes on.
#[test]
fn in_an_outage_that_was_not_seen_to_be_over_the_time_counts_from_when_the_claimer_goes_on() {
    let full = || life(&[(200, Ended::Full), (900, Ended::Full)]);
    assert!(broken_by_another(full(), full()).is_empty());
    let mut stopped = full();
    stopped
        .beats
        .retain(|at| !(37..48).contains(&(at / 25 / MILLISECOND)));
    assert_eq!(broken_by_another(full(), stopped), [Rule::Held]);
}

#[test]
fn an_answer_that_never_landed_is_found() {
    let mut story = Story::new();
    let execution = story.claim_won((0, 10), 1);
    story.stop(execution, 100, Some(ENDING));
    let mut drained = life(&[]);
    drained.drained = Some(500 * MILLISECOND);
    assert_eq!(broken(&story, RECLAIM, drained, &rules()), [Rule::G5]);
}

#[test]
fn an_answer_that_landed_or_was_superseded_is_not_lost() {
    let mut landed = Story::new();
    let execution = landed.claim_won((0, 10), 1);
    landed.completed(execution, (90, 100), (1, 1), 77);
    for story in [landed, robbed()] {
        let mut drained = life(&[]);
        drained.drained = Some(5000 * MILLISECOND);
        assert!(broken(&story, RECLAIM, drained, &durable()).is_empty());
    }
}
