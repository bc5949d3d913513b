use std::num::NonZeroU32;

use super::*;
use crate::{ProbeResult, Resolution, State};

const RUNNING: Duration = Duration::from_secs(29);

/// A record of request 1, in every state.
fn every_state() -> Vec<Record> {
    let first = first(&mut request(1, 1));
    let end = |ending| Holding::new(first.clone()).end(ending).record;
    vec![
        first.clone(),
        end(Ending::Retry),
        end(Ending::Complete(bytes("ok"))),
        end(Ending::Fail(bytes("no"))),
    ]
}

fn take_over_of(decision: Decision) -> Record {
    match decision {
        Decision::TakeOver(write) => write.record,
        other => panic!("expected a take-over, got {other:?}"),
    }
}

#[test]
fn a_vacant_key_becomes_in_flight_attempt_1() {
    let record = first(&mut request(1, 1));
    assert_eq!(record.attempt, 1);
    assert_eq!(
        record.state,
        State::InFlight {
            lease: LEASE,
            checkpoint: None
        }
    );
}

#[test]
fn g1_a_lease_runs_out_exactly_at_its_length() {
    let record = first(&mut request(1, 1));
    let almost = LEASE - Duration::from_nanos(1);
    assert_eq!(
        decide(&mut request(2, 1), &stored(record.clone(), almost)),
        Decision::Busy {
            retry_after: Duration::from_nanos(1)
        }
    );
    let next = take_over_of(decide(&mut request(2, 1), &stored(record.clone(), LEASE)));
    assert_eq!(next.attempt, 2);
    assert_eq!(next.version.token, ClaimToken::from_bytes([2; 16]));
    assert!(next.version.revision > record.version.revision);
    assert_eq!(next.created_at, record.created_at);
}

#[test]
fn g1_an_unknown_age_counts_as_a_running_lease() {
    let found = Stored {
        record: first(&mut request(1, 1)),
        age: None,
        remaining: None,
    };
    assert_eq!(
        decide(&mut request(2, 1), &found),
        Decision::Busy { retry_after: LEASE }
    );
}

#[test]
fn g4_another_fingerprint_is_a_mismatch_in_every_state_even_in_flight_and_lapsed() {
    for record in every_state() {
        for age in [Duration::ZERO, RUNNING, LEASE * 2] {
            for lapsed in [LapsedRule::Reclaim, LapsedRule::Halt] {
                let mut other = Request {
                    lapsed,
                    ..request(2, 9)
                };
                assert_eq!(
                    decide(&mut other, &stored(record.clone(), age)),
                    Decision::Mismatch
                );
            }
        }
    }
}

#[test]
fn g2_endings_replay_whatever_their_age() {
    for age in [Duration::ZERO, LEASE * 1000] {
        let [_, _, completed, failed] = <[Record; 4]>::try_from(every_state()).unwrap();
        let mut claim = request(2, 1);
        assert_eq!(
            decide(&mut claim, &stored(completed, age)),
            Decision::Replay(bytes("ok"))
        );
        assert_eq!(
            decide(&mut claim, &stored(failed, age)),
            Decision::ReplayFailure(bytes("no"))
        );
    }
}

#[test]
fn g2_an_empty_payload_is_an_answer() {
    let record = Holding::new(first(&mut request(1, 1)))
        .end(Ending::Complete(Bytes::new()))
        .record;
    let decision = decide(&mut request(2, 1), &stored(record, LEASE));
    assert_eq!(decision, Decision::Replay(Bytes::new()));
}

#[test]
fn g8_a_checkpoint_survives_renewal_retryable_and_take_over() {
    let mut holding = Holding::new(first(&mut request(1, 1)));
    let write = holding.step(Step::Checkpoint(bytes("half")));
    holding.wrote(write);
    let write = holding.step(Step::Renew);
    holding.wrote(write);
    assert_eq!(holding.checkpoint(), Some(&bytes("half")));
    let retryable = holding.end(Ending::Retry).record;
    let next = take_over_of(decide(
        &mut request(2, 1),
        &stored(retryable, Duration::ZERO),
    ));
    assert_eq!(Holding::new(next).checkpoint(), Some(&bytes("half")));
}

#[test]
fn g8_halt_leaves_a_lapsed_record_alone_but_not_a_retryable_one() {
    let mut halt = Request {
        lapsed: LapsedRule::Halt,
        ..request(2, 1)
    };
    let abandoned = decide(&mut halt, &stored(first(&mut request(1, 1)), LEASE));
    assert_eq!(
        abandoned,
        Decision::Abandoned {
            attempt: 1,
            checkpoint: None
        }
    );
    let retryable = every_state().swap_remove(1);
    assert_eq!(
        take_over_of(decide(&mut halt, &stored(retryable, LEASE))).attempt,
        2
    );
}

#[test]
fn attempts_are_limited_for_lapsed_and_retryable_alike() {
    let mut limited = Request {
        max_attempts: NonZeroU32::new(1),
        ..request(2, 1)
    };
    for record in every_state().into_iter().take(2) {
        let decision = decide(&mut limited, &stored(record, LEASE));
        assert_eq!(decision, Decision::Exhausted { attempts: 1 });
    }
    let last = Record {
        attempt: u32::MAX,
        ..first(&mut request(1, 1))
    };
    let decision = decide(&mut request(2, 1), &stored(last, LEASE));
    assert_eq!(decision, Decision::Exhausted { attempts: u32::MAX });
}

#[test]
fn g5_a_claim_that_finds_its_own_token_has_the_key() {
    let mut claim = request(1, 1);
    let record = first(&mut claim);
    assert_eq!(
        decide(&mut claim, &stored(record, LEASE * 2)),
        Decision::Own
    );
}

#[test]
fn g5_a_probers_answer_that_was_stored_unnoticed_is_replayed_not_run() {
    let mut prober = request(2, 1);
    let found = first(&mut request(1, 1));
    let verdict = ProbeResult::completed_raw(bytes("paid"));
    let stored_answer = take_over_of(settle_abandoned(&mut prober, &found, verdict).unwrap());
    assert_eq!(
        decide(&mut prober, &stored(stored_answer, Duration::ZERO)),
        Decision::Replay(bytes("paid"))
    );
}

#[test]
fn a_verdict_completes_reclaims_or_halts() {
    let (mut prober, found) = (request(2, 1), first(&mut request(1, 1)));
    assert_eq!(
        settle_abandoned(&mut prober, &found, ProbeResult::unknown()),
        None
    );
    let again = take_over_of(settle_abandoned(&mut prober, &found, ProbeResult::retry()).unwrap());
    assert_eq!((again.attempt, again.state.name()), (2, "in-flight"));
    let paid = ProbeResult::completed_raw(bytes("paid"));
    let paid = take_over_of(settle_abandoned(&mut prober, &found, paid).unwrap());
    assert_eq!(paid.version.token, prober.token, "G3: under its own name");
    assert!(paid.version.revision > found.version.revision);
    assert_eq!(
        (paid.attempt, paid.state),
        (
            1,
            State::Completed {
                payload: bytes("paid")
            }
        )
    );
}

#[test]
fn g5_a_resent_write_that_finds_itself_has_landed() {
    let mut holding = Holding::new(first(&mut request(1, 1)));
    let write = holding.end(Ending::Complete(bytes("ok")));
    let found = stored(write.record.clone(), Duration::ZERO);
    assert_eq!(holding.settle(&write, Some(&found)), Settled::Landed);
}

#[test]
fn g5_an_unnoticed_renewal_does_not_pass_for_the_completion() {
    let mut holding = Holding::new(first(&mut request(1, 1)));
    let lost_renewal = holding.step(Step::Renew);
    let completion = holding.end(Ending::Complete(bytes("ok")));
    let found = stored(lost_renewal.record.clone(), Duration::ZERO);
    let Settled::Again(again) = holding.settle(&completion, Some(&found)) else {
        panic!("the completion has to be sent again");
    };
    assert_eq!(again.expected, lost_renewal.record.version);
    assert_eq!(again.record.state, completion.record.state);
    assert!(again.record.version.revision > completion.record.version.revision);
}

#[test]
fn g5_an_unnoticed_checkpoint_survives_the_next_renewal() {
    let mut holding = Holding::new(first(&mut request(1, 1)));
    let lost = holding.step(Step::Checkpoint(bytes("half")));
    let renewal = holding.step(Step::Renew);
    let found = stored(lost.record, Duration::ZERO);
    let Settled::Again(again) = holding.settle(&renewal, Some(&found)) else {
        panic!("the renewal has to be sent again");
    };
    assert_eq!(
        Holding::new(again.record).checkpoint(),
        Some(&bytes("half"))
    );
}

#[test]
fn g3_another_token_an_ending_or_nothing_supersedes() {
    let mut holding = Holding::new(first(&mut request(1, 1)));
    let write = holding.end(Ending::Complete(bytes("late")));
    let taken_over = take_over_of(take_over(&mut request(2, 1), &first(&mut request(1, 1))));
    let ended = holding.end(Ending::Fail(bytes("first"))).record;
    for found in [
        Some(stored(taken_over, LEASE)),
        Some(stored(ended, LEASE)),
        None,
    ] {
        assert_eq!(holding.settle(&write, found.as_ref()), Settled::Superseded);
        assert!(!holding.still_owns(found.as_ref()));
    }
}

#[test]
fn an_unnoticed_claim_is_removed_or_handed_on_with_its_history() {
    let new = first(&mut request(1, 1));
    assert_eq!(Undo::of(&new), Undo::Release);
    let second = take_over_of(take_over(&mut request(2, 1), &new));
    assert_eq!(Undo::of(&second), Undo::Retry);
}

#[test]
fn g5_a_claim_that_is_sent_again_is_the_same_claim_under_versions_of_its_own() {
    let mut claim = request(1, 1);
    let (one, two) = (first(&mut claim), first(&mut claim));
    assert_ne!(one.version, two.version);
    for found in [&one, &two] {
        assert_eq!(
            decide(&mut claim, &stored(found.clone(), LEASE)),
            Decision::Own
        );
        let mut holding = Holding::of_claim(found.clone(), claim.sent);
        let ending = holding.end(Ending::Retry).record.version;
        assert!(ending != one.version && ending != two.version);
    }
    let other = stored(first(&mut request(2, 1)), LEASE);
    let next = take_over_of(decide(&mut claim, &other)).version;
    assert!(next != one.version && next != two.version);
}

/// A take-over finds the record gone, and the claim begins anew; or finds another record at the
/// revision of the first. Found by several processes over a Postgres that lost replies.
#[test]
fn s2_no_two_writes_of_one_claim_share_a_version() {
    let mut claim = request(1, 1);
    let other = |token| stored(first(&mut request(token, 1)), LEASE);
    let mut versions = vec![first(&mut claim).version];
    versions.push(take_over_of(decide(&mut claim, &other(2))).version);
    versions.push(first(&mut claim).version);
    versions.push(take_over_of(decide(&mut claim, &other(3))).version);
    let abandoned = &other(4).record;
    for verdict in [
        ProbeResult::retry(),
        ProbeResult::completed_raw(bytes("paid")),
    ] {
        let settled = settle_abandoned(&mut claim, abandoned, verdict).unwrap();
        versions.push(take_over_of(settled).version);
    }
    versions.push(first(&mut claim).version);
    for (place, version) in versions.iter().enumerate() {
        assert!(!versions[..place].contains(version), "{versions:?}");
    }
}

#[test]
fn only_an_abandoned_record_is_resolved() {
    let token = ClaimToken::from_bytes([9; 16]);
    let settle =
        |found: Option<&Stored>| resolve(found, token, Resolution::completed_raw(bytes("x")));
    assert_eq!(settle(None), Err(NotResolvable::Absent));
    let running = stored(first(&mut request(1, 1)), RUNNING);
    let left = Duration::from_secs(1);
    assert_eq!(
        settle(Some(&running)),
        Err(NotResolvable::Running { retry_after: left })
    );
    for (record, name) in every_state()
        .into_iter()
        .zip(["", "retryable", "completed", "failed"])
    {
        let result = settle(Some(&stored(record.clone(), LEASE)));
        match record.state {
            State::InFlight { .. } => {
                let write = result.unwrap();
                assert_eq!(write.expected, record.version);
                assert_eq!(
                    write.record.state,
                    State::Completed {
                        payload: bytes("x")
                    }
                );
                assert_eq!(write.record.version.token, token);
            }
            _ => assert_eq!(result, Err(NotResolvable::Ended(name))),
        }
    }
}

#[test]
fn each_resolution_writes_its_state_and_keeps_the_checkpoint() {
    let mut holding = Holding::new(first(&mut request(1, 1)));
    let found = stored(holding.step(Step::Checkpoint(bytes("half"))).record, LEASE);
    let settle = |resolution| {
        resolve(Some(&found), ClaimToken::from_bytes([9; 16]), resolution)
            .unwrap()
            .record
            .state
    };
    assert_eq!(
        settle(Resolution::failed_raw(bytes("f"))),
        State::Failed {
            payload: bytes("f")
        }
    );
    assert_eq!(
        settle(Resolution::retry()),
        State::Retryable {
            checkpoint: Some(bytes("half"))
        }
    );
}

#[test]
fn an_abandoned_record_is_remembered_as_long_as_an_answer() {
    let retention = Duration::from_secs(3600);
    let ttls: Vec<_> = every_state()
        .iter()
        .map(|record| ttl(&record.state, retention))
        .collect();
    assert_eq!(ttls, [retention + LEASE, retention, retention, retention]);
}

#[test]
fn an_ending_shows_its_kind_and_never_its_payload() {
    let shown = |ending: Ending| format!("{ending:?}");
    assert_eq!(shown(Ending::Complete(bytes("secret"))), "completed");
    assert_eq!(shown(Ending::Fail(bytes("secret"))), "failed");
    assert_eq!(shown(Ending::Retry), "retryable");
}
