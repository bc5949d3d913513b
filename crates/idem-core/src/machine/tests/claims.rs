use std::num::NonZeroU32;

use super::*;
use crate::{ProbeResult, Resolution};

const RUNNING: Duration = Duration::from_secs(29);
const ALMOST: Duration = Duration::from_nanos(LEASE.as_nanos() as u64 - 1);

/// What a claim makes of this record.
fn claim(mut claiming: Claiming, record: &Record, age: Duration) -> Claimed {
    let _ = claiming.next();
    claiming.on_reply(found(record, age), NO_GRACE)
}

fn with(rule: LapsedRule) -> Claiming {
    Claiming::new(Request {
        lapsed: rule,
        ..request(2, 1)
    })
}

fn busy(retry_after: Duration) -> Claimed {
    Claimed::Refused(Refused::InFlight { retry_after })
}

#[test]
fn a_vacant_key_becomes_in_flight_attempt_1() {
    let record = created(1, 1);
    assert_eq!(record.attempt, 1);
    let checkpoint = None;
    let lease = LEASE;
    assert_eq!(record.state, State::InFlight { lease, checkpoint });
}

#[test]
fn g1_a_lease_runs_out_exactly_at_its_length() {
    let record = created(1, 1);
    let left = Duration::from_nanos(1);
    assert_eq!(claim(claiming(2, 1), &record, ALMOST), busy(left));
    let next = take_over(&mut claiming(2, 1), &record, LEASE).record;
    assert_eq!(next.attempt, 2);
    assert_eq!(next.version.token, ClaimToken::from_bytes([2; 16]));
    assert!(next.version.revision > record.version.revision);
    assert_eq!(next.created_at, record.created_at);
}

#[test]
fn g1_an_unknown_age_counts_as_a_running_lease() {
    let mut claiming = claiming(2, 1);
    let _ = claiming.next();
    let ageless = Stored {
        record: created(1, 1),
        age: None,
        remaining: None,
    };
    let claimed = claiming.on_reply(Reply::Found(Some(ageless)), NO_GRACE);
    assert_eq!(claimed, busy(LEASE));
}

/// After an outage the holder may be alive and about to renew.
#[test]
fn g1_within_the_grace_a_lease_that_is_over_counts_as_running() {
    let grace = LEASE / 3;
    for rule in [LapsedRule::Reclaim, LapsedRule::Halt, LapsedRule::Probe] {
        let mut claiming = with(rule);
        let _ = claiming.next();
        let claimed = claiming.on_reply(found(&created(1, 1), LEASE * 2), grace);
        assert_eq!(claimed, busy(grace));
    }
    // It delays neither a key that is free nor an answer.
    let [_, retryable, completed, _] = every_state();
    for (record, expected) in [
        (retryable, Claimed::Again),
        (completed, Claimed::Replay(bytes("ok"))),
    ] {
        let mut claiming = claiming(2, 1);
        let _ = claiming.next();
        assert_eq!(claiming.on_reply(found(&record, LEASE), grace), expected);
    }
}

/// What kept the take-over from the store may have kept the holder from renewing.
#[test]
fn g1_a_take_over_that_failed_looks_again_before_it_is_sent_again() {
    let holder = created(1, 1);
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Unknown] {
        let failed = || {
            let mut claiming = claiming(2, 1);
            let write = take_over(&mut claiming, &holder, LEASE);
            assert_eq!(
                claiming.on_reply(Reply::Failed(kind), NO_GRACE),
                Claimed::Later
            );
            assert_eq!(claiming.next(), Op::Get);
            (claiming, write)
        };
        // Within the grace it is refused, and takes back what may come through still.
        let (mut claiming, write) = failed();
        let grace = LEASE / 3;
        assert_eq!(
            claiming.on_reply(found(&holder, LEASE * 2), grace),
            busy(grace)
        );
        assert_eq!(
            claiming.give_up().is_some(),
            kind == StoreErrorKind::Unknown
        );
        if let Some(mut given_up) = claiming.give_up() {
            assert_eq!(update(given_up.next()).expected, write.record.version);
        }
        // The holder has renewed.
        let (mut claiming, _) = failed();
        let renewed = sent(&mut holding(), Want::Renew).record;
        assert_eq!(
            claiming.on_reply(found(&renewed, RUNNING), NO_GRACE),
            busy(LEASE - RUNNING)
        );
        assert_eq!(claiming.give_up(), None);
        // Nobody has: the same write goes out again.
        let (mut claiming, write) = failed();
        assert_eq!(
            claiming.on_reply(found(&holder, LEASE * 2), NO_GRACE),
            Claimed::Again
        );
        assert_eq!(claiming.next(), Op::Update(&write));
        // The reading fails as well.
        let (mut claiming, _) = failed();
        assert_eq!(
            claiming.on_reply(Reply::Failed(kind), NO_GRACE),
            Claimed::Later
        );
        assert_eq!(claiming.next(), Op::Get);
        // It had come through unseen.
        let (mut claiming, write) = failed();
        let claimed = claiming.on_reply(found(&write.record, Duration::ZERO), NO_GRACE);
        assert!(matches!(claimed, Claimed::Own(holding) if *holding.record() == write.record));
    }
}

#[test]
fn g4_another_fingerprint_is_a_mismatch_in_every_state_even_in_flight_and_lapsed() {
    for record in every_state() {
        for age in [Duration::ZERO, RUNNING, LEASE * 2] {
            for lapsed in [LapsedRule::Reclaim, LapsedRule::Halt, LapsedRule::Probe] {
                let other = Claiming::new(Request {
                    lapsed,
                    ..request(2, 9)
                });
                let claimed = claim(other, &record, age);
                assert_eq!(claimed, Claimed::Refused(Refused::Mismatch));
            }
        }
    }
}

/// A released key belongs to no request, and fencing numbers never go back.
#[test]
fn g4_a_released_key_is_taken_by_any_request_as_its_next_attempt() {
    for print in [1, 9] {
        let mut claiming = claiming(2, print);
        let next = take_over(&mut claiming, &released(), Duration::ZERO).record;
        assert_eq!(next.fingerprint, Fingerprint::from_bytes([print; 32]));
        assert_eq!(next.attempt, 2);
        let state = State::InFlight {
            lease: LEASE,
            checkpoint: None,
        };
        assert_eq!(next.state, state);
    }
    let last = Claiming::new(Request {
        max_attempts: NonZeroU32::new(1),
        ..request(2, 9)
    });
    let exhausted = Claimed::Refused(Refused::Exhausted { attempts: 1 });
    assert_eq!(claim(last, &released(), Duration::ZERO), exhausted);
}

#[test]
fn g2_endings_replay_whatever_their_age() {
    let [_, _, completed, failed] = every_state();
    for age in [Duration::ZERO, LEASE * 1000] {
        let replay = claim(claiming(2, 1), &completed, age);
        assert_eq!(replay, Claimed::Replay(bytes("ok")));
        let failure = claim(claiming(2, 1), &failed, age);
        assert_eq!(failure, Claimed::ReplayFailure(bytes("no")));
    }
}

#[test]
fn g2_an_empty_payload_is_an_answer() {
    let record = sent(&mut holding(), complete("")).record;
    let claimed = claim(claiming(2, 1), &record, LEASE);
    assert_eq!(claimed, Claimed::Replay(Bytes::new()));
}

#[test]
fn a_halted_key_is_abandoned_and_a_retryable_one_is_not() {
    let [in_flight, retryable, ..] = every_state();
    let abandoned = Claimed::Refused(Refused::Abandoned { attempt: 1 });
    assert_eq!(claim(with(LapsedRule::Halt), &in_flight, LEASE), abandoned);
    let claimed = claim(with(LapsedRule::Halt), &retryable, LEASE);
    assert_eq!(claimed, Claimed::Again);
}

#[test]
fn a_limit_of_attempts_is_kept_and_the_counter_does_not_overflow() {
    let exhausted = |attempts| Claimed::Refused(Refused::Exhausted { attempts });
    let limited = || {
        Claiming::new(Request {
            max_attempts: NonZeroU32::new(1),
            ..request(2, 1)
        })
    };
    for record in every_state().into_iter().take(2) {
        assert_eq!(claim(limited(), &record, LEASE), exhausted(1));
    }
    let last = Record {
        attempt: u32::MAX,
        ..created(1, 1)
    };
    let claimed = claim(claiming(2, 1), &last, LEASE);
    assert_eq!(claimed, exhausted(u32::MAX));
}

#[test]
fn g5_a_claim_that_finds_its_own_token_has_the_key() {
    for age in [Duration::ZERO, LEASE * 2] {
        let claimed = claim(claiming(1, 1), &created(1, 1), age);
        assert!(matches!(claimed, Claimed::Own(_)), "{claimed:?}");
    }
}

#[test]
fn a_verdict_completes_reclaims_or_halts() {
    let record = created(1, 1);
    let probing = |verdict| {
        let mut claiming = with(LapsedRule::Probe);
        let _ = claiming.next();
        let claimed = claiming.on_reply(found(&record, LEASE), NO_GRACE);
        assert_eq!(claimed, Claimed::Again);
        assert_eq!(claiming.next(), Op::Probe(&record));
        let claimed = claiming.on_reply(Reply::Probed(verdict), NO_GRACE);
        (claiming, claimed)
    };
    let (_, halted) = probing(ProbeResult::unknown());
    let abandoned = Claimed::Refused(Refused::Abandoned { attempt: 1 });
    assert_eq!(halted, abandoned);

    let (mut reclaiming, _) = probing(ProbeResult::retry());
    let again = update(Some(reclaiming.next())).record;
    assert_eq!((again.attempt, again.state.name()), (2, "in-flight"));

    let (mut completing, _) = probing(ProbeResult::completed_raw(bytes("paid")));
    let paid = update(Some(completing.next())).record;
    let own = ClaimToken::from_bytes([2; 16]);
    assert_eq!(paid.version.token, own, "G3: under its own name");
    assert!(paid.version.revision > record.version.revision);
    assert_eq!((paid.attempt, paid.state.name()), (1, "completed"));
    for reply in [Reply::Applied, found(&paid, Duration::ZERO)] {
        let claimed = completing.clone().on_reply(reply, NO_GRACE);
        assert_eq!(claimed, Claimed::Replay(bytes("paid")), "it does not run");
    }
    assert_eq!(completing.give_up(), None, "an answer is not taken back");
}

#[test]
fn g7_within_a_transaction_nothing_is_probed() {
    let request = Request {
        lapsed: LapsedRule::Probe,
        ..request(2, 1)
    };
    let claimed = claim(Claiming::in_transaction(request), &created(1, 1), LEASE);
    let abandoned = Claimed::Refused(Refused::Abandoned { attempt: 1 });
    assert_eq!(claimed, abandoned);
}

#[test]
fn only_a_claim_that_may_have_gone_through_is_given_back() {
    let mut unsent = claiming(1, 1);
    assert_eq!(unsent.give_up(), None, "it was not sent");
    let _ = unsent.next();
    assert!(unsent.give_up().is_some(), "it is under way");

    for (kind, maybe) in [
        (StoreErrorKind::Unavailable, false),
        (StoreErrorKind::Full, false),
        (StoreErrorKind::Unknown, true),
    ] {
        let mut failed = claiming(1, 1);
        let _ = failed.next();
        let claimed = failed.on_reply(Reply::Failed(kind), NO_GRACE);
        assert_eq!(claimed, Claimed::Later);
        assert_eq!(failed.give_up().is_some(), maybe, "{kind:?}");
        // What may have landed stays so, whatever the next failure says.
        let _ = failed.next();
        let _ = failed.on_reply(Reply::Failed(StoreErrorKind::Unavailable), NO_GRACE);
        assert_eq!(failed.give_up().is_some(), maybe, "{kind:?}");
        // A claim that has its answer gives nothing back.
        let mut won = failed.clone();
        let _ = won.next();
        let _ = won.on_reply(Reply::Applied, NO_GRACE);
        assert_eq!(won.give_up(), None);
        let _ = failed.next();
        let _ = failed.on_reply(found(&created(9, 1), RUNNING), NO_GRACE);
        assert_eq!(failed.give_up(), None);
    }
}

#[test]
fn a_claim_given_up_is_removed_or_handed_on_with_its_history() {
    let mut new = claiming(1, 1);
    let version = match new.next() {
        Op::Create(record) => record.version,
        other => panic!("{other:?}"),
    };
    let mut undone = new.give_up().unwrap();
    assert_eq!(undone.next(), Some(Op::Delete(version)));
    let gone = undone.on_reply(Reply::Found(None));
    assert_eq!(gone, Held::Ended(Landed::Released), "it never went through");

    let mut second = claiming(2, 1);
    let _ = take_over(&mut second, &created(1, 1), LEASE);
    let handed_on = update(second.give_up().unwrap().next()).record;
    assert_eq!(
        (handed_on.attempt, handed_on.state.name()),
        (2, "retryable")
    );

    let mut corrected = claiming(2, 9);
    let _ = take_over(&mut corrected, &released(), Duration::ZERO);
    let handed_on = update(corrected.give_up().unwrap().next()).record;
    assert_eq!((handed_on.attempt, handed_on.state.name()), (2, "released"));
}

#[test]
fn g5_a_claim_that_is_sent_again_is_the_same_claim_under_versions_of_its_own() {
    let mut claim = claiming(1, 1);
    let mut create = || {
        let Op::Create(record) = claim.next() else {
            panic!("a create")
        };
        let record = record.clone();
        let _ = claim.on_reply(Reply::Failed(StoreErrorKind::Unknown), NO_GRACE);
        record
    };
    let (one, two) = (create(), create());
    assert_ne!(one.version, two.version);
    for record in [&one, &two] {
        let mut claim = claim.clone();
        let Claimed::Own(mut holding) = claim.on_reply(found(record, LEASE), NO_GRACE) else {
            panic!("it is the claim's own");
        };
        let ending = sent(&mut holding, Want::end(Ending::Retry)).record.version;
        assert!(ending != one.version && ending != two.version);
    }
}

/// A take-over finds the record gone, and the claim begins anew; or finds another record at the
/// revision of the first. Found by several processes over a Postgres that lost replies.
#[test]
fn s2_no_two_writes_of_one_claim_share_a_version() {
    let mut claim = Claiming::new(Request {
        lapsed: LapsedRule::Probe,
        ..request(1, 1)
    });
    let mut versions = Vec::new();
    let mut note = |op: Op<'_>| {
        let version = match op {
            Op::Create(record) => record.version,
            Op::Update(write) => write.record.version,
            other => panic!("{other:?}"),
        };
        assert!(!versions.contains(&version), "{versions:?}");
        versions.push(version);
    };
    note(claim.next());
    for (token, verdict) in [
        (2, ProbeResult::retry()),
        (3, ProbeResult::retry()),
        (4, ProbeResult::completed_raw(bytes("paid"))),
    ] {
        let _ = claim.on_reply(found(&created(token, 1), LEASE), NO_GRACE);
        let _ = claim.on_reply(Reply::Probed(verdict), NO_GRACE);
        note(claim.next());
        let _ = claim.on_reply(Reply::Found(None), NO_GRACE);
        note(claim.next());
    }
}

fn resolve(record: Option<&Record>, age: Duration, resolution: Resolution) -> Resolving {
    let mut resolving = Resolving::new(ClaimToken::from_bytes([9; 16]), resolution);
    assert_eq!(resolving.next(), Op::Get);
    let found = Reply::Found(record.map(|record| stored(record.clone(), age)));
    match resolving.on_reply(found) {
        Resolved::Again => resolving,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_an_abandoned_record_is_resolved() {
    let token = ClaimToken::from_bytes([9; 16]);
    let refused = |reply| {
        let mut resolving = Resolving::new(token, Resolution::retry());
        resolving.on_reply(reply)
    };
    let absent = refused(Reply::Found(None));
    assert_eq!(absent, Resolved::NotResolvable(NotResolvable::Absent));
    let running = refused(found(&created(1, 1), RUNNING));
    let retry_after = LEASE - RUNNING;
    assert_eq!(
        running,
        Resolved::NotResolvable(NotResolvable::Running { retry_after })
    );
    let names = ["retryable", "completed", "failed"];
    for (record, name) in every_state().iter().skip(1).zip(names) {
        let ended = refused(found(record, LEASE));
        assert_eq!(ended, Resolved::NotResolvable(NotResolvable::Ended(name)));
    }
}

/// What an operator looked at is what is settled: a record that was taken over since is left alone.
#[test]
fn g3_a_record_that_changed_since_somebody_looked_is_not_resolved() {
    let (seen, taken_over) = (created(1, 1), created(2, 2));
    let resolving = || {
        let token = ClaimToken::from_bytes([9; 16]);
        Resolving::new(token, Resolution::retry()).if_still(seen.version)
    };
    assert_eq!(
        resolving().on_reply(found(&taken_over, LEASE)),
        Resolved::Changed
    );
    assert_eq!(resolving().on_reply(found(&seen, LEASE)), Resolved::Again);
}

#[test]
fn each_resolution_writes_its_state_and_keeps_the_checkpoint() {
    let mut holding = holding();
    let record = sent(&mut holding, Want::Checkpoint(bytes("half"))).record;
    for (resolution, name) in [
        (Resolution::completed_raw(bytes("f")), "completed"),
        (Resolution::failed_raw(bytes("f")), "failed"),
        (Resolution::retry(), "retryable"),
    ] {
        let resolving = resolve(Some(&record), LEASE, resolution);
        let write = update(Some(resolving.next()));
        assert_eq!(write.expected, record.version);
        assert_eq!(write.record.version.token, ClaimToken::from_bytes([9; 16]));
        assert_eq!(write.record.state.name(), name);
        if let State::Retryable { checkpoint } = write.record.state {
            assert_eq!(checkpoint, Some(bytes("half")));
        }
    }
}

#[test]
fn g5_a_resolution_that_finds_itself_is_done_and_one_that_finds_another_changed() {
    let resolving = resolve(Some(&created(1, 1)), LEASE, Resolution::retry());
    let own = update(Some(resolving.next())).record;
    let told = |reply| resolving.clone().on_reply(reply);
    assert_eq!(told(Reply::Applied), Resolved::Done);
    assert_eq!(told(found(&own, Duration::ZERO)), Resolved::Done);
    let other = found(&created(3, 1), Duration::ZERO);
    assert_eq!(told(other), Resolved::Changed);
    assert_eq!(told(Reply::Found(None)), Resolved::Changed);
    let lost = Reply::Failed(StoreErrorKind::Unknown);
    assert_eq!(told(lost), Resolved::Later);
}

#[test]
fn an_abandoned_record_is_remembered_as_long_as_an_answer_and_under_halt_for_ever() {
    let [others, failures] = [3600, 60].map(Duration::from_secs);
    let retention = Retention { failures, others };
    let states = || every_state().into_iter().chain([released()]);
    let ttls = |rule| -> Vec<_> {
        let ttl = |record: Record| ttl(&record.state, retention, rule);
        states().map(ttl).collect()
    };
    let ended = [others, others, failures, others];
    let reclaim = ttls(LapsedRule::Reclaim);
    assert_eq!((reclaim[0], &reclaim[1..]), (others + LEASE, &ended[..]));
    for rule in [LapsedRule::Halt, LapsedRule::Probe] {
        let ttls = ttls(rule);
        assert_eq!((ttls[0], &ttls[1..]), (NEVER, &ended[..]), "G8");
    }
}
