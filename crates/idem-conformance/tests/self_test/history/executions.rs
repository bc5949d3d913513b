//! Histories of an engine, right and wrong.

use std::time::Duration;

use idem_conformance::history::{
    Call, Executions, KeyCall, KeyReply, Lapsed, Limit, Violation, check,
};
use idem_core::Bytes;

use super::{ms, replied, unknown};

type Observed = Call<KeyCall, KeyReply>;

fn claim(execution: u64) -> KeyCall {
    KeyCall::Claim {
        execution,
        request: 1,
    }
}

fn complete(execution: u64, payload: &'static str) -> KeyCall {
    KeyCall::Complete {
        execution,
        payload: Bytes::from(payload),
    }
}

fn acquired(attempt: u32) -> KeyReply {
    KeyReply::Acquired { attempt }
}

fn replay(payload: &'static str) -> KeyReply {
    KeyReply::Replay(Bytes::from(payload))
}

/// A lease of 100 ms.
fn model() -> Executions {
    Executions {
        lease: ms(100),
        retention: Duration::from_secs(3600),
        lapsed: Lapsed::TakenOver,
        slack: Duration::ZERO,
    }
}

fn expect_explained(calls: &[Observed]) {
    assert_eq!(check(&model(), calls, Limit::default()), Ok(()));
}

fn expect_wrong(calls: &[Observed]) {
    let verdict = check(&model(), calls, Limit::default());
    assert!(
        matches!(verdict, Err(Violation::Inexplicable(_))),
        "{verdict:?}"
    );
}

#[test]
fn a_claim_its_ending_and_its_replays_are_explained() {
    expect_explained(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(1, 5, 20, claim(2), KeyReply::InFlight),
        replied(0, 30, 40, complete(1, "a"), KeyReply::Stored),
        replied(1, 35, 45, claim(3), replay("a")),
        replied(2, 50, 60, claim(4), replay("a")),
    ]);
}

#[test]
fn g1_two_executions_within_a_lease_are_wrong() {
    let calls = |second: u64| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            replied(1, 20, second, claim(2), acquired(2)),
        ]
    };
    expect_wrong(&calls(99));
    expect_explained(&calls(100));
    expect_wrong(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(1, 20, 30, claim(2), acquired(1)),
    ]);
}

#[test]
fn g1_a_renewal_counts_from_when_it_was_sent() {
    expect_wrong(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(0, 50, 60, KeyCall::Hold { execution: 1 }, KeyReply::Stored),
        replied(1, 70, 149, claim(2), acquired(2)),
    ]);
    // A renewal whose reply was lost may not have happened.
    expect_explained(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        unknown(0, 50, KeyCall::Hold { execution: 1 }),
        replied(1, 70, 149, claim(2), acquired(2)),
    ]);
}

#[test]
fn g1_the_fencing_number_grows_by_one() {
    expect_wrong(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(1, 200, 210, claim(2), acquired(3)),
    ]);
}

#[test]
fn g2_a_replay_of_anything_but_the_stored_answer_is_wrong() {
    expect_wrong(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(0, 20, 30, complete(1, "a"), KeyReply::Stored),
        replied(1, 40, 50, claim(2), replay("b")),
    ]);
    expect_wrong(&[replied(1, 40, 50, claim(2), replay("b"))]);
}

#[test]
fn g2_an_execution_after_an_ending_is_wrong() {
    expect_wrong(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(0, 20, 30, complete(1, "a"), KeyReply::Stored),
        replied(1, 200, 210, claim(2), acquired(2)),
    ]);
}

#[test]
fn g3_an_ending_after_a_takeover_is_wrong() {
    let calls = |reply| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            replied(1, 200, 210, claim(2), acquired(2)),
            replied(0, 220, 230, complete(1, "stale"), reply),
            replied(1, 240, 250, complete(2, "fresh"), KeyReply::Stored),
        ]
    };
    expect_wrong(&calls(KeyReply::Stored));
    expect_explained(&calls(KeyReply::Superseded));
}

#[test]
fn g3_a_holder_that_is_told_superseded_while_it_holds_is_wrong() {
    expect_wrong(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(0, 20, 30, complete(1, "a"), KeyReply::Superseded),
    ]);
}

#[test]
fn g3_a_lapsed_lease_that_nobody_claimed_may_complete() {
    expect_explained(&[
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(0, 500, 510, complete(1, "late"), KeyReply::Stored),
        replied(1, 520, 530, claim(2), replay("late")),
    ]);
}

#[test]
fn g4_another_request_that_is_not_a_mismatch_is_wrong() {
    let other = KeyCall::Claim {
        execution: 2,
        request: 9,
    };
    let calls = |reply| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            replied(1, 20, 30, other.clone(), reply),
        ]
    };
    expect_explained(&calls(KeyReply::Mismatch));
    expect_wrong(&calls(KeyReply::InFlight));
    let lapsed = [
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(1, 200, 230, other.clone(), acquired(2)),
    ];
    expect_wrong(&lapsed);
    expect_wrong(&[replied(1, 20, 30, other, KeyReply::Mismatch)]);
}

#[test]
fn g5_an_ending_whose_reply_was_lost_may_be_stored_later() {
    let calls = |reply| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            unknown(0, 20, complete(1, "a")),
            replied(1, 50, 60, claim(2), KeyReply::InFlight),
            replied(1, 200, 210, claim(3), reply),
        ]
    };
    expect_explained(&calls(replay("a")));
    expect_explained(&calls(acquired(2)));
    expect_wrong(&calls(acquired(1)));
}

#[test]
fn g5_a_claim_whose_reply_was_lost_may_hold_the_key_until_it_is_taken_back() {
    expect_explained(&[
        unknown(0, 0, claim(1)),
        unknown(0, 0, KeyCall::Disown { execution: 1 }),
        replied(1, 20, 30, claim(2), KeyReply::InFlight),
        replied(1, 40, 50, claim(3), acquired(1)),
    ]);
    // Without a claim that may have won, nobody is in flight.
    expect_wrong(&[replied(1, 20, 30, claim(2), KeyReply::InFlight)]);
}

#[test]
fn g5_an_unknown_call_takes_effect_before_it_is_void() {
    let calls = |void_after| {
        let taken_over = Call {
            void_after: Some(ms(void_after)),
            ..unknown(1, 200, claim(2))
        };
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            taken_over,
            unknown(1, 200, KeyCall::Disown { execution: 2 }),
            // Could be told so right away, but then it were too late for what is unknown.
            replied(2, 310, 320, claim(3), KeyReply::InFlight),
            replied(3, 310, 312, claim(4), acquired(3)),
        ]
    };
    expect_explained(&calls(300));
    expect_wrong(&calls(50));
}

#[test]
fn a_released_or_retryable_key_runs_again() {
    let release = KeyCall::Release { execution: 1 };
    let retry = KeyCall::FailRetryable { execution: 1 };
    let calls = |ending: &KeyCall, request, reply| {
        let next = KeyCall::Claim {
            execution: 2,
            request,
        };
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            replied(0, 20, 30, ending.clone(), KeyReply::Stored),
            replied(1, 40, 50, next, reply),
        ]
    };
    let KeyCall::Claim { request: same, .. } = claim(1) else {
        unreachable!("it is a claim")
    };
    for ending in [&release, &retry] {
        expect_explained(&calls(ending, same, acquired(2)));
        expect_wrong(&calls(ending, same, acquired(1)));
    }
    let other = same + 1;
    expect_explained(&calls(&release, other, acquired(2)));
    expect_wrong(&calls(&release, other, KeyReply::Mismatch));
    expect_explained(&calls(&retry, other, KeyReply::Mismatch));
    expect_wrong(&calls(&retry, other, acquired(2)));
}

#[test]
fn g8_under_halt_nobody_takes_over() {
    let halt = Executions {
        lapsed: Lapsed::Halted,
        ..model()
    };
    let calls = |reply| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            replied(1, 200, 210, claim(2), reply),
        ]
    };
    let abandoned = KeyReply::Abandoned { attempt: 1 };
    assert_eq!(
        check(&halt, &calls(abandoned.clone()), Limit::default()),
        Ok(())
    );
    assert!(check(&halt, &calls(acquired(2)), Limit::default()).is_err());
    let too_early = [
        replied(0, 0, 10, claim(1), acquired(1)),
        replied(1, 20, 30, claim(2), abandoned),
    ];
    assert!(check(&halt, &too_early, Limit::default()).is_err());
}

#[test]
fn g8_a_prober_completes_what_it_found_and_nobody_else_is_told_otherwise() {
    let probed = Executions {
        lapsed: Lapsed::Probed,
        ..model()
    };
    let resolve = KeyCall::Resolve {
        attempt: 1,
        answer: Some(Bytes::from("found")),
    };
    let calls = |resolved_at, reply| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            unknown(9, resolved_at, resolve.clone()),
            replied(1, 200, 240, claim(2), reply),
        ]
    };
    let explained = |calls: &[Observed]| check(&probed, calls, Limit::default()).is_ok();
    assert!(explained(&calls(210, replay("found"))));
    assert!(explained(&calls(210, acquired(2))), "it was not applied");
    let doubt = KeyReply::Abandoned { attempt: 1 };
    assert!(explained(&calls(210, doubt)), "the prober could not tell");
    assert!(!explained(&calls(210, replay("other"))));
    assert!(!explained(&calls(250, replay("found"))), "not found yet");
    let alive = [
        replied(0, 0, 10, claim(1), acquired(1)),
        unknown(9, 20, resolve),
        replied(1, 20, 40, claim(2), replay("found")),
    ];
    assert!(!explained(&alive), "the lease is not over");
}

#[test]
fn g8_what_an_operator_resolved_stands() {
    let halt = Executions {
        lapsed: Lapsed::Halted,
        ..model()
    };
    let calls = |answer: Option<Bytes>, reply| {
        [
            replied(0, 0, 10, claim(1), acquired(1)),
            replied(
                9,
                200,
                210,
                KeyCall::Resolve { attempt: 1, answer },
                KeyReply::Stored,
            ),
            replied(1, 220, 240, claim(2), reply),
        ]
    };
    let explained = |calls: &[Observed]| check(&halt, calls, Limit::default()).is_ok();
    let answer = Some(Bytes::from("found"));
    assert!(explained(&calls(answer.clone(), replay("found"))));
    assert!(!explained(&calls(answer, acquired(2))));
    assert!(explained(&calls(None, acquired(2))));
    assert!(!explained(&calls(None, KeyReply::Abandoned { attempt: 1 })));
}
