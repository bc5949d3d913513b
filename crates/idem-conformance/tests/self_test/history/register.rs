//! Histories of a store, right and wrong.

use std::time::Duration;

use idem_conformance::history::{
    Call, Imprint, Limit, Register, StoreCall, StoreReply, Violation, check,
};
use idem_core::store::{ClaimToken, Version};

use super::{ms, replied, unknown};

const HOUR: Duration = Duration::from_secs(3600);

type Observed = Call<StoreCall, StoreReply>;

fn imprint(token: u8, revision: u64) -> Imprint {
    Imprint {
        version: Version {
            token: ClaimToken::from_bytes([token; 16]),
            revision,
        },
        hash: u64::from(token) * 1000 + revision,
    }
}

fn create(x: Imprint) -> StoreCall {
    StoreCall::Create(x, HOUR)
}

fn update(from: Imprint, to: Imprint) -> StoreCall {
    StoreCall::Update(from.version, to, HOUR)
}

fn delete(x: Imprint) -> StoreCall {
    StoreCall::Delete(x.version)
}

const APPLIED: StoreReply = StoreReply::Applied;
const ABSENT: StoreReply = StoreReply::Found(None);

fn found(x: Imprint) -> StoreReply {
    StoreReply::Found(Some(x))
}

fn model() -> Register {
    Register {
        slack: Duration::ZERO,
        resends: true,
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
fn a_race_with_one_winner_is_explained() {
    let (a, b) = (imprint(1, 1), imprint(2, 1));
    expect_explained(&[
        replied(0, 0, 30, create(a), found(b)),
        replied(1, 10, 20, create(b), APPLIED),
        replied(0, 40, 50, StoreCall::Get, found(b)),
    ]);
}

#[test]
fn s1_two_winners_are_wrong() {
    let (a, b) = (imprint(1, 1), imprint(2, 1));
    expect_wrong(&[
        replied(0, 0, 30, create(a), APPLIED),
        replied(1, 10, 20, create(b), APPLIED),
    ]);
}

#[test]
fn s1_a_loser_that_is_told_another_than_the_winner_is_wrong() {
    let (a, b, c) = (imprint(1, 1), imprint(2, 1), imprint(3, 1));
    expect_wrong(&[
        replied(0, 0, 30, create(a), APPLIED),
        replied(1, 10, 20, create(b), found(c)),
    ]);
}

#[test]
fn s1_a_winner_that_is_not_there_afterwards_is_wrong() {
    let a = imprint(1, 1);
    expect_wrong(&[
        replied(0, 0, 10, create(a), APPLIED),
        replied(1, 20, 30, StoreCall::Get, ABSENT),
    ]);
}

#[test]
fn s2_a_stale_read_is_wrong_and_a_concurrent_one_is_not() {
    let (a, a2) = (imprint(1, 1), imprint(1, 2));
    let calls = |read_from| {
        [
            replied(0, 0, 10, create(a), APPLIED),
            replied(0, 20, 30, update(a, a2), APPLIED),
            replied(1, read_from, 50, StoreCall::Get, found(a)),
        ]
    };
    expect_explained(&calls(25));
    expect_wrong(&calls(31));
}

#[test]
fn s2_two_updates_of_one_version_are_wrong() {
    let (a, b, c) = (imprint(1, 1), imprint(2, 2), imprint(3, 2));
    expect_wrong(&[
        replied(0, 0, 10, create(a), APPLIED),
        replied(1, 20, 40, update(a, b), APPLIED),
        replied(2, 20, 40, update(a, c), APPLIED),
    ]);
}

#[test]
fn s2_an_update_that_is_refused_at_its_version_is_wrong() {
    let (a, b) = (imprint(1, 1), imprint(1, 2));
    expect_wrong(&[
        replied(0, 0, 10, create(a), APPLIED),
        replied(0, 20, 30, update(a, b), found(a)),
    ]);
}

#[test]
fn s3_a_record_that_comes_back_after_a_delete_is_wrong() {
    let (a, a2) = (imprint(1, 1), imprint(1, 2));
    expect_wrong(&[
        replied(0, 0, 10, create(a), APPLIED),
        replied(0, 20, 30, delete(a), APPLIED),
        replied(1, 40, 50, update(a, a2), APPLIED),
    ]);
    expect_wrong(&[
        replied(0, 0, 10, create(a), APPLIED),
        replied(0, 20, 30, delete(a), APPLIED),
        replied(1, 40, 50, StoreCall::Get, found(a)),
    ]);
}

#[test]
fn g5_an_unknown_write_may_have_been_applied_or_not_and_at_any_time() {
    let (a, b) = (imprint(1, 1), imprint(2, 1));
    expect_explained(&[
        unknown(0, 0, create(a)),
        replied(1, 20, 30, StoreCall::Get, ABSENT),
        replied(1, 40, 50, StoreCall::Get, found(a)),
    ]);
    expect_explained(&[
        unknown(0, 0, create(a)),
        replied(1, 20, 30, create(b), APPLIED),
        replied(1, 40, 50, StoreCall::Get, found(b)),
    ]);
    // But not before it was invoked, and not back and forth.
    expect_wrong(&[
        replied(1, 0, 10, StoreCall::Get, found(a)),
        unknown(0, 20, create(a)),
    ]);
    expect_wrong(&[
        unknown(0, 0, create(a)),
        replied(1, 20, 30, StoreCall::Get, found(a)),
        replied(1, 40, 50, StoreCall::Get, ABSENT),
    ]);
}

#[test]
fn s9_a_refused_write_that_was_applied_is_wrong() {
    let a = imprint(1, 1);
    expect_wrong(&[
        replied(0, 0, 10, create(a), StoreReply::Refused),
        replied(1, 20, 30, StoreCall::Get, found(a)),
    ]);
}

#[test]
fn g5_a_write_that_was_sent_again_may_find_itself_where_stores_do_so() {
    let a = imprint(1, 1);
    let calls = [
        replied(0, 0, 10, create(a), found(a)),
        replied(0, 20, 30, delete(a), ABSENT),
        replied(0, 40, 50, StoreCall::Get, ABSENT),
    ];
    expect_explained(&calls);
    let strict = Register {
        resends: false,
        ..model()
    };
    assert!(check(&strict, &calls, Limit::default()).is_err());
}

#[test]
fn s5_s6_a_record_goes_when_its_ttl_is_over_and_not_before() {
    let a = imprint(1, 1);
    let calls = |read_from: u64, reply| {
        [
            replied(0, 10, 20, StoreCall::Create(a, ms(100)), APPLIED),
            replied(1, read_from, read_from + 1, StoreCall::Get, reply),
        ]
    };
    expect_wrong(&calls(108, ABSENT));
    expect_explained(&calls(108, found(a)));
    // Written between 10 and 20, so it may or may not be there.
    expect_explained(&calls(115, ABSENT));
    expect_explained(&calls(115, found(a)));
    expect_explained(&calls(120, ABSENT));
    expect_wrong(&calls(120, found(a)));
}

#[test]
fn s5_a_create_over_an_expired_record_is_explained() {
    let (a, b) = (imprint(1, 1), imprint(2, 1));
    expect_explained(&[
        replied(0, 0, 1, StoreCall::Create(a, ms(100)), APPLIED),
        replied(1, 200, 210, create(b), APPLIED),
        replied(0, 220, 230, delete(a), found(b)),
    ]);
}

#[test]
fn a_violation_shows_where_it_got_stuck() {
    let (a, b) = (imprint(1, 1), imprint(2, 1));
    let calls = [
        replied(0, 0, 10, create(a), APPLIED),
        replied(7, 20, 30, create(b), APPLIED),
    ];
    let violation = check(&model(), &calls, Limit::default()).unwrap_err();
    let text = violation.to_string();
    let stuck = text.lines().find(|line| line.starts_with('?')).unwrap();
    assert!(
        stuck.contains("client 7") && stuck.contains("Create"),
        "{text}"
    );
}

#[test]
fn a_search_that_is_too_large_is_neither_explained_nor_refuted() {
    let all: Vec<_> = (0..20).map(|n| imprint(n, 1)).collect();
    let mut calls: Vec<Observed> = all.iter().map(|x| unknown(0, 0, create(*x))).collect();
    calls.push(replied(1, 2, 3, StoreCall::Get, found(all[19])));
    expect_explained(&calls);
    calls.push(replied(1, 4, 5, StoreCall::Get, ABSENT));
    expect_wrong(&calls);
    let limit = Limit { configurations: 10 };
    assert_eq!(check(&model(), &calls, limit), Err(Violation::TooLarge));
}
