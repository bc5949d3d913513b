use super::*;
use crate::error::Superseded;

const LOST: Reply = Reply::Failed(StoreErrorKind::Unknown);

fn just(record: &Record) -> Reply {
    found(record, Duration::ZERO)
}

#[test]
fn g8_a_checkpoint_survives_renewal_retryable_and_take_over() {
    let mut holding = wanting(holding(), Want::Checkpoint(bytes("half")));
    let _ = holding.next();
    assert_eq!(holding.on_reply(Reply::Applied), Held::Kept);
    let _ = sent(&mut holding, Want::Renew);
    assert_eq!(holding.on_reply(Reply::Applied), Held::Kept);
    assert_eq!(holding.checkpoint(), Some(&bytes("half")));
    let retryable = sent(&mut holding, Want::end(Ending::Retry)).record;
    let next = take_over(&mut claiming(2, 1), &retryable, Duration::ZERO).record;
    let next = Holding::of_claim(next, 0);
    assert_eq!(next.checkpoint(), Some(&bytes("half")));
}

#[test]
fn g5_a_write_that_is_sent_again_is_the_same_and_finds_itself() {
    let mut holding = holding();
    let write = sent(&mut holding, complete("ok"));
    assert_eq!(holding.on_reply(LOST), Held::Later);
    assert_eq!(update(holding.next()), write);
    let landed = holding.on_reply(just(&write.record));
    assert_eq!(landed, Held::Ended(Landed::Completed));
    assert_eq!(holding.next(), None);
    assert_eq!(holding.want(Want::Renew), Err(Superseded));
}

#[test]
fn g5_an_unnoticed_renewal_does_not_pass_for_the_completion() {
    let mut holding = holding();
    let renewal = sent(&mut holding, Want::Renew);
    let completion = sent(&mut holding, complete("ok"));
    assert_eq!(holding.on_reply(just(&renewal.record)), Held::Again);
    let again = update(holding.next());
    assert_eq!(again.expected, renewal.record.version);
    assert_eq!(again.record.state, completion.record.state);
    assert!(again.record.version.revision > completion.record.version.revision);
}

#[test]
fn g5_an_unnoticed_checkpoint_survives_the_next_renewal_and_the_next_ending() {
    for want in [Want::Renew, Want::end(Ending::Retry)] {
        let mut holding = holding();
        let lost = sent(&mut holding, Want::Checkpoint(bytes("half")));
        let _ = sent(&mut holding, want);
        assert_eq!(holding.on_reply(just(&lost.record)), Held::Again);
        let again = Holding::of_claim(update(holding.next()).record, 0);
        match &again.record().state {
            State::InFlight { checkpoint, .. } | State::Retryable { checkpoint } => {
                assert_eq!(checkpoint, &Some(bytes("half")));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn g3_another_token_or_nothing_supersedes() {
    let taken_over = take_over(&mut claiming(2, 1), &created(1, 1), LEASE).record;
    for want in [Want::Renew, complete("late"), Want::Release] {
        for reply in [just(&taken_over), Reply::Found(None)] {
            let mut holding = wanting(holding(), want.clone());
            let _ = holding.next();
            assert_eq!(holding.on_reply(reply), Held::Superseded);
            assert_eq!(holding.next(), None);
        }
    }
}

/// Each of them may be the one that landed, and each is this holder's own ending.
#[test]
fn g5_whichever_of_several_endings_landed_is_recognised() {
    let fallback = Some(Ending::Fail(bytes("too large")));
    let ending = Ending::Complete(bytes("ok"));
    let mut holding = wanting(holding(), Want::End { ending, fallback });
    let first = update(holding.next()).record;
    assert_eq!(holding.on_reply(LOST), Held::Later);
    let refused = Reply::Failed(StoreErrorKind::TooLarge);
    assert_eq!(holding.on_reply(refused), Held::Again);
    let second = update(holding.next()).record;
    assert_eq!(second.state.name(), "failed");
    assert_eq!(holding.on_reply(LOST), Held::Later);
    // A renewal between two attempts meets them as well.
    let renewing = wanting(holding.clone(), Want::Renew);
    for mut holding in [holding, renewing] {
        let _ = holding.next();
        for (record, landed) in [(&first, Landed::Completed), (&second, Landed::Fallback)] {
            let held = holding.clone().on_reply(just(record));
            assert_eq!(held, Held::Ended(landed));
        }
        assert_eq!(holding.on_reply(Reply::Found(None)), Held::Superseded);
    }
}

#[test]
fn an_ending_that_is_refused_for_good_falls_back_once_and_is_then_tried_on() {
    for kind in [
        StoreErrorKind::TooLarge,
        StoreErrorKind::Full,
        StoreErrorKind::Config,
    ] {
        let fallback = Some(Ending::Complete(bytes("answer not kept")));
        let ending = Ending::Complete(bytes("ok"));
        let mut holding = wanting(holding(), Want::End { ending, fallback });
        let _ = holding.next();
        assert_eq!(holding.on_reply(Reply::Failed(kind)), Held::Again);
        let write = update(holding.next());
        let payload = bytes("answer not kept");
        assert_eq!(write.record.state, State::Completed { payload });
        assert_eq!(holding.on_reply(Reply::Failed(kind)), Held::Later);
        assert_eq!(update(holding.next()), write);
        let landed = holding.on_reply(Reply::Applied);
        assert_eq!(landed, Held::Ended(Landed::Fallback));
    }
}

#[test]
fn only_a_refusal_for_good_takes_the_fallback() {
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Unknown,
        StoreErrorKind::Corrupt,
    ] {
        let fallback = Some(Ending::Retry);
        let ending = Ending::Complete(bytes("ok"));
        let mut holding = wanting(holding(), Want::End { ending, fallback });
        let write = update(holding.next());
        assert_eq!(holding.on_reply(Reply::Failed(kind)), Held::Later);
        assert_eq!(update(holding.next()), write);
    }
}

/// A pending ending keeps its key held, and a renewal that fails does not keep it waiting.
#[test]
fn g1_a_renewal_goes_between_two_attempts_at_an_ending() {
    let mut holding = holding();
    let _ = sent(&mut holding, complete("ok"));
    assert_eq!(holding.on_reply(LOST), Held::Later);
    let renewal = sent(&mut holding, Want::Renew);
    assert_eq!(renewal.record.state.name(), "in-flight");
    assert_eq!(holding.on_reply(Reply::Applied), Held::Kept);
    let ending = update(holding.next());
    assert_eq!(ending.expected, renewal.record.version);
    assert_eq!(ending.record.state.name(), "completed");
    assert_eq!(holding.on_reply(LOST), Held::Later);
    let _ = sent(&mut holding, Want::Renew);
    assert_eq!(holding.on_reply(LOST), Held::Later);
    assert_eq!(update(holding.next()).record.state.name(), "completed");
}

#[test]
fn g5_a_release_whose_reply_was_lost_is_a_release_unless_the_key_was_taken_over() {
    let anew = created(2, 1);
    let taken_over = take_over(&mut claiming(2, 1), &created(3, 1), LEASE).record;
    for (reply, held) in [
        (Reply::Found(None), Held::Ended(Landed::Released)),
        (just(&anew), Held::Ended(Landed::Released)),
        (just(&taken_over), Held::Superseded),
    ] {
        let mut holding = wanting(holding(), Want::Release);
        let _ = holding.next();
        // Without a lost reply, only another execution can have removed the record.
        let noticed = holding.clone().on_reply(reply.clone());
        assert_eq!(noticed, Held::Superseded);
        assert_eq!(holding.on_reply(LOST), Held::Later);
        let _ = holding.next();
        assert_eq!(holding.on_reply(reply), held);
    }
}

#[test]
fn g5_a_release_after_an_unnoticed_renewal_is_sent_again() {
    let mut holding = holding();
    let renewal = sent(&mut holding, Want::Renew).record;
    holding.want(Want::Release).unwrap();
    let _ = holding.next();
    assert_eq!(holding.on_reply(just(&renewal)), Held::Again);
    assert_eq!(holding.next(), Some(Op::Delete(renewal.version)));
    let held = holding.on_reply(Reply::Found(None));
    assert_eq!(held, Held::Superseded, "the first delete did not apply");
}

/// In a transaction *applied* is provisional.
#[test]
fn g7_an_ending_whose_commit_is_in_doubt_may_have_landed_or_not() {
    let mut holding = wanting(holding(), complete("ok"));
    let ending = update(holding.next()).record;
    assert_eq!(
        holding.on_reply(Reply::Applied),
        Held::Ended(Landed::Completed)
    );
    holding.reopen();
    let free = sent(&mut holding, Want::end(Ending::Retry));
    assert_ne!(free.record.version, ending.version);
    let committed = holding.clone().on_reply(just(&ending));
    assert_eq!(committed, Held::Ended(Landed::Completed));
    let rolled_back = holding.on_reply(Reply::Applied);
    assert_eq!(rolled_back, Held::Ended(Landed::Retryable));
}

#[test]
fn a_read_tells_a_holder_whether_it_is_in_charge() {
    let read = |record: Option<Record>| {
        holding().on_read(record.map(|record| stored(record, Duration::ZERO)))
    };
    let [in_flight, retryable, ..] = every_state();
    assert_eq!(read(Some(in_flight)), Held::Kept);
    assert_eq!(read(Some(retryable)), Held::Ended(Landed::Retryable));
    assert_eq!(read(Some(created(2, 1))), Held::Superseded);
    assert_eq!(read(None), Held::Superseded);
}

#[test]
fn an_ending_shows_its_kind_and_never_its_payload() {
    let shown = |ending: Ending| format!("{ending:?}");
    assert_eq!(shown(Ending::Complete(bytes("secret"))), "completed");
    assert_eq!(shown(Ending::Fail(bytes("secret"))), "failed");
    assert_eq!(shown(Ending::Retry), "retryable");
}
