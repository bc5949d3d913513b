//! Intents that were begun before: by a process that died, or by a clone.

use std::time::SystemTime;

use idem_core::IdempotencyKey;

use super::*;
use crate::{Code, Problem};

const HOUR: Duration = Duration::from_secs(3600);

fn resumed(age: Duration) -> Intent {
    let now = SystemTime::UNIX_EPOCH + 1000 * HOUR;
    Intent::resume(
        IdempotencyKey::random(),
        now - age,
        now,
        RetryRules::default().most_sendings(1),
    )
}

#[test]
fn a_resumed_intent_may_have_run_whatever_comes_back() {
    let away = Reply::from(Problem::new(Code::StoreUnavailable));
    let refusal = reply(401, &[], "");
    for (sent, reason) in [
        (Sent::NotSent, StopReason::SendingsSpent),
        (away.sent(), StopReason::SendingsSpent),
        (refusal.sent(), StopReason::Unanswered),
    ] {
        let mut intent = resumed(HOUR);
        assert!(intent.may_have_run());
        intent.begin(Duration::ZERO).unwrap();
        assert_eq!(after(&mut intent, sent), unknown(reason), "{sent:?}");
    }
}

#[test]
fn a_fresh_intent_with_a_kept_key_has_not_run() {
    let key = IdempotencyKey::new("order-1").unwrap();
    let mut intent = Intent::fresh(key.clone(), RetryRules::default().most_sendings(1));
    assert_eq!(intent.key(), &key);
    let next = after(&mut intent, Sent::NotSent);
    assert_eq!(next, nothing_ran(StopReason::SendingsSpent));
}

#[test]
fn the_retention_counts_from_the_first_sending_and_not_from_the_restart() {
    let over = Err(GaveUp::OutcomeUnknown(StopReason::RetentionOver));
    assert_eq!(resumed(23 * HOUR).begin(Duration::ZERO), Ok(()));
    assert_eq!(resumed(23 * HOUR).begin(HOUR), over);
    assert_eq!(resumed(25 * HOUR).begin(Duration::ZERO), over);
    let next = resumed(23 * HOUR).after(Sent::Lost, HOUR, 0.5);
    assert!(matches!(next, Next::GiveUp(GaveUp::OutcomeUnknown(_))));
}

#[test]
fn a_clock_that_was_set_back_stops_a_resumed_intent() {
    let now = SystemTime::UNIX_EPOCH + 1000 * HOUR;
    let resume = |ahead| {
        let rules = RetryRules::default().margin(Duration::from_secs(5));
        Intent::resume(IdempotencyKey::random(), now + ahead, now, rules).begin(Duration::ZERO)
    };
    assert_eq!(resume(Duration::from_secs(5)), Ok(()));
    let over = GaveUp::OutcomeUnknown(StopReason::RetentionOver);
    assert_eq!(resume(Duration::from_secs(6)), Err(over));
}

#[test]
fn clones_of_an_intent_know_what_each_learned() {
    let kept = Intent::new(RetryRules::default().most_sendings(1));
    let mut sending = kept.clone();
    sending.begin(Duration::ZERO).unwrap();
    // The sending was dropped half-way, by a timeout of the caller's.
    drop(sending);
    assert!(kept.may_have_run());
    let next = after(&mut kept.clone(), Sent::NotSent);
    assert_eq!(next, unknown(StopReason::SendingsSpent));
}

#[test]
fn a_refusal_beside_a_sending_that_is_under_way_leaves_the_outcome_unknown() {
    let mut first = intent();
    let mut second = first.clone();
    first.begin(Duration::ZERO).unwrap();
    let refusal = reply(403, &[], "");
    assert_eq!(
        after(&mut second, refusal.sent()),
        unknown(StopReason::Unanswered)
    );
}

#[test]
fn an_intent_that_was_answered_is_never_said_to_have_run_nothing() {
    for status in [201, 404] {
        let mut intent = intent();
        assert_eq!(
            after(&mut intent, reply(status, &[], "").sent()),
            Next::Done
        );
        let reason = StopReason::NotSendable;
        assert_eq!(intent.give_up(reason), GaveUp::OutcomeUnknown(reason));
    }
}
