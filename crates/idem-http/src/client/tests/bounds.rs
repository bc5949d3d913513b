//! Pauses, the retention, and the budget.

use std::time::UNIX_EPOCH;

use idem_conformance::DURATIONS;
use proptest::{prelude::*, sample::select};

use super::*;

#[test]
fn retry_after_is_a_least_pause_in_seconds_or_by_the_servers_own_clock() {
    assert_eq!(answered(503, &[("retry-after", "120")], ""), again(120));
    let dates = [
        ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("retry-after", "Tue, 15 Nov 1994 08:13:31 GMT"),
    ];
    assert_eq!(answered(503, &dates, ""), again(60));
    let backoff = Next::SendAgain(Duration::from_millis(200));
    for nonsense in ["", "-1", "soon", "Tue, 15 Nov 1994 08:13:31 GMT"] {
        let next = answered(503, &[("retry-after", nonsense)], "");
        assert_eq!(next, backoff, "{nonsense}");
    }
}

#[test]
fn a_retry_after_over_the_bound_is_not_waited_for() {
    let too_long = |seconds| StopReason::RetryAfterTooLong(Duration::from_secs(seconds));
    let hours = 23 * 3600;
    let next = answered(503, &[("retry-after", &hours.to_string())], "");
    assert_eq!(next, unknown(too_long(hours)));
    let endless = "9".repeat(40);
    let next = answered(409, &[("retry-after", &endless)], "");
    assert_eq!(next, unknown(too_long(u64::MAX)));

    let rules = RetryRules::default().longest_retry_after(Duration::from_secs(7));
    let mut intent = Intent::new(rules);
    let asked = |seconds: u64| reply(429, &[("retry-after", &seconds.to_string())], "");
    assert_eq!(after(&mut intent, asked(7).sent()), again(7));
    assert_eq!(after(&mut intent, asked(8).sent()), unknown(too_long(8)));
}

#[test]
fn pauses_double_up_to_the_longest_and_are_jittered_by_half() {
    let pauses = |jitter| {
        let rules = RetryRules::default()
            .most_sendings(10)
            .longest_pause(Duration::from_secs(2));
        let mut intent = Intent::new(rules);
        let mut pause = || match intent.after(Sent::NotSent, Duration::ZERO, jitter) {
            Next::SendAgain(pause) => pause.as_millis(),
            other => panic!("{other:?}"),
        };
        [pause(), pause(), pause(), pause(), pause(), pause()]
    };
    assert_eq!(pauses(1.0), [200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(pauses(0.0), [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(pauses(f64::NAN), [200, 400, 800, 1600, 2000, 2000]);
}

#[test]
fn nothing_is_sent_that_could_arrive_when_the_key_is_forgotten() {
    let last = Duration::from_secs(24 * 3600 - 60);
    let pause = Duration::from_millis(200);
    let lost_at = |elapsed| intent().after(Sent::Lost, elapsed, 1.0);
    let over = StopReason::RetentionOver;
    assert_eq!(
        lost_at(last - pause - Duration::from_millis(1)),
        Next::SendAgain(pause)
    );
    assert_eq!(lost_at(last - pause), unknown(over));
    assert_eq!(lost_at(Duration::MAX), unknown(over));
    assert!(
        GaveUp::OutcomeUnknown(over)
            .to_string()
            .contains("outcome is unknown")
    );
    // The pause took longer than planned.
    let mut intent = intent();
    intent.begin(Duration::ZERO).unwrap();
    assert!(is_again(intent.after(Sent::Lost, Duration::ZERO, 1.0)));
    assert_eq!(intent.begin(last), Err(GaveUp::OutcomeUnknown(over)));
}

#[test]
fn a_new_intent_is_sent_once_however_short_the_retention_is() {
    let rules = RetryRules::default().retention(Duration::from_secs(30));
    let mut intent = Intent::new(rules);
    assert_eq!(intent.begin(Duration::MAX), Ok(()));
    let stopped = unknown(StopReason::RetentionOver);
    assert_eq!(after(&mut intent, Sent::Lost), stopped);
}

#[test]
fn all_intents_share_one_budget_of_repeats() {
    let budget = RetryBudget::new(2, 50);
    let rules = RetryRules::default().budget(budget.clone());
    let lost = || {
        let mut intent = Intent::new(rules.clone());
        intent.begin(Duration::ZERO).unwrap();
        after(&mut intent, Sent::Lost)
    };
    assert!(is_again(lost()));
    assert!(is_again(lost()));
    assert_eq!(budget.left(), 0);
    // Every second intent brings a repeat.
    let spent = unknown(StopReason::BudgetSpent);
    let nexts = [lost(), lost(), lost(), lost()];
    assert_eq!(nexts.iter().filter(|next| **next == spent).count(), 2);
    assert!(RetryBudget::unlimited().left() > 1_000_000);
    assert!(!RetryBudget::new(0, 0).withdraw());
}

#[test]
fn an_intent_is_sent_as_often_as_the_rules_say_and_at_least_once() {
    for (most, sendings) in [(0, 1), (1, 1), (3, 3)] {
        let mut intent = Intent::new(RetryRules::default().most_sendings(most));
        let mut count = 0;
        let last = loop {
            count += 1;
            match after(&mut intent, Sent::NotSent) {
                Next::SendAgain(_) => {}
                other => break other,
            }
        };
        assert_eq!(count, sendings);
        assert_eq!(last, nothing_ran(StopReason::SendingsSpent));
    }
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![select(DURATIONS.to_vec()), any::<Duration>()]
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic_or_wait_past_a_bound(
        status in 100u16..1000,
        retry_after in prop_oneof!["[ -~]{0,30}", "[0-9]{1,30}"],
        body in prop::collection::vec(any::<u8>(), 0..60),
        elapsed in duration(),
        [first_pause, longest_pause, longest_retry_after] in [duration(), duration(), duration()],
        [retention, margin] in [duration(), duration()],
        jitter in prop_oneof![any::<f64>(), Just(1.0), Just(f64::NAN)],
    ) {
        let rules = RetryRules::default()
            .first_pause(first_pause)
            .longest_pause(longest_pause)
            .longest_retry_after(longest_retry_after)
            .retention(retention)
            .margin(margin);
        let reply = reply(status, &[("retry-after", &retry_after)], body);
        let mut intent = Intent::new(rules.clone());
        if let Next::SendAgain(pause) = intent.after(reply.sent(), elapsed, jitter) {
            prop_assert!(elapsed.saturating_add(pause) < rules.retention);
        }
        let now = UNIX_EPOCH.checked_add(elapsed).unwrap_or(UNIX_EPOCH);
        let _ = Entry::new("", now).resume(now, rules).begin(elapsed);
    }
}
