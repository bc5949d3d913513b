//! How each reply is understood.

use super::*;
use crate::{Code, Problem};

const PROBLEM: (&str, &str) = ("content-type", "application/problem+json");

#[test]
fn trouble_is_sent_again_and_an_answer_is_not() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599, 600, 999] {
        assert!(is_again(answered(status, &[], "")), "{status}");
    }
    for status in [200, 201, 204, 303, 307, 400, 401, 403, 404, 405, 413, 422] {
        assert_eq!(answered(status, &[], ""), Next::Done, "{status}");
    }
    assert!(is_again(after(&mut intent(), Sent::Lost)));
    assert!(is_again(after(&mut intent(), Sent::NotSent)));
}

#[test]
fn a_refusal_after_a_lost_reply_leaves_the_outcome_unknown() {
    for status in [101, 301, 302, 303, 307, 400, 401, 403, 404, 405, 413, 422] {
        let refusal = reply(status, &[], "");
        let stopped = unknown(StopReason::Unanswered);
        assert_eq!(answered_in_doubt(&refusal), stopped, "{status}");
    }
    for status in [200, 201, 204] {
        assert_eq!(answered_in_doubt(&reply(status, &[], "")), Next::Done);
    }
}

#[test]
fn a_stored_answer_is_the_outcome_whatever_its_status() {
    for status in [200, 303, 401, 408, 409, 422, 429, 500, 503] {
        let replay = reply(status, &[("idempotent-replayed", "true")], "");
        assert_eq!(after(&mut intent(), replay.sent()), Next::Done, "{status}");
        assert_eq!(answered_in_doubt(&replay), Next::Done, "{status}");
    }
}

#[test]
fn a_replay_is_marked_by_the_header_and_value_of_the_rules() {
    for unmarked in ["false", "", "truer"] {
        let headers = [("idempotent-replayed", unmarked)];
        assert!(is_again(answered(500, &headers, "")), "{unmarked}");
    }
    assert_eq!(
        answered(500, &[("idempotent-replayed", "True ")], ""),
        Next::Done
    );
    let name = HeaderName::from_static("x-cache-status");
    let rules = RetryRules::default().replay_mark(name, "stored");
    let mut intent = Intent::new(rules);
    let default = reply(500, &[("idempotent-replayed", "true")], "");
    assert!(is_again(after(&mut intent, default.sent())));
    let marked = reply(500, &[("x-cache-status", "stored")], "");
    assert_eq!(after(&mut intent, marked.sent()), Next::Done);
}

#[test]
fn only_a_certificate_of_the_layer_says_that_nothing_ran() {
    let once = |reply: &Reply| {
        let mut intent = Intent::new(RetryRules::default().most_sendings(1));
        after(&mut intent, reply.sent())
    };
    let layer = Reply::from(Problem::new(Code::StoreUnavailable));
    assert_eq!(once(&layer), nothing_ran(StopReason::SendingsSpent));

    let body = Problem::new(Code::StoreUnavailable).to_json();
    let foreign = br#"{"type":"https://proxy.example/away","code":"store-unavailable"}"#;
    let untyped = br#"{"code":"store-unavailable"}"#;
    for other in [
        reply(503, &[], ""),
        reply(503, &[("content-type", "text/html")], "<h1>503</h1>"),
        reply(503, &[("content-type", "application/json")], &body),
        reply(503, &[], &body),
        reply(503, &[PROBLEM], foreign),
        reply(503, &[PROBLEM], untyped),
        reply(503, &[PROBLEM], &body[..body.len() - 1]),
        reply(503, &[PROBLEM, ("idempotent-replayed", "true")], &body),
        reply(429, &[("retry-after", "1")], ""),
        reply(408, &[], ""),
    ] {
        let stopped = unknown(StopReason::SendingsSpent);
        assert_eq!(once(&other), stopped, "{other:?}");
    }
}

#[test]
fn a_certificate_takes_its_own_sending_out_of_doubt_and_no_other() {
    let layer = Reply::from(Problem::new(Code::StoreUnavailable));
    let mut intent = intent();
    after(&mut intent, layer.sent());
    assert!(!intent.may_have_run());
    after(&mut intent, Sent::Lost);
    after(&mut intent, layer.sent());
    assert!(intent.may_have_run());
    let refusal = reply(401, &[], "");
    assert_eq!(
        after(&mut intent, refusal.sent()),
        unknown(StopReason::Unanswered)
    );
}

#[test]
fn a_certificate_proves_nothing_where_the_rules_do_not_trust_it() {
    let layer = Reply::from(Problem::new(Code::StoreUnavailable));
    let rules = RetryRules::default().trust_certificates(false);
    let mut intent = Intent::new(rules);
    assert!(is_again(after(&mut intent, layer.sent())));
    assert!(intent.may_have_run());
}

#[test]
fn a_certificate_can_have_a_type_of_the_services_own() {
    let uri = "https://shop.example/problems/store-unavailable";
    let body = format!(r#"{{"type":"{uri}","code":"store-unavailable"}}"#);
    let headers = [("content-type", "application/problem+json; charset=utf-8")];
    let rules = RetryRules::default().most_sendings(1).nothing_ran_type(uri);
    let next = after(&mut Intent::new(rules), reply(503, &headers, body).sent());
    assert_eq!(next, nothing_ran(StopReason::SendingsSpent));
}

#[test]
fn a_transaction_that_was_rolled_back_or_is_uncertain_is_sent_again_and_may_have_run() {
    for code in ["rolled-back", "commit-unknown"] {
        let body = format!(r#"{{"type":"https://shop.example/{code}","code":"{code}"}}"#);
        for headers in [&[PROBLEM][..], &[PROBLEM, ("idempotent-replayed", "true")]] {
            let mut intent = intent();
            let reply = reply(503, headers, &body);
            assert!(is_again(after(&mut intent, reply.sent())), "{reply:?}");
            assert!(intent.may_have_run());
        }
    }
}

#[test]
fn an_execution_that_vanished_is_not_asked_for_again_and_may_have_run() {
    for code in [Code::OutcomeUnknown, Code::AttemptsExhausted] {
        let reply = Reply::from(Problem::new(code));
        let next = after(&mut intent(), reply.sent());
        assert_eq!(next, unknown(StopReason::Unanswered), "{code:?}");
    }
}

#[test]
fn a_409_in_flight_is_understood_as_servers_say_it() {
    let draft = r#"{
      "type": "https://developer.example.com/idempotency",
      "title": "A request is outstanding for this Idempotency-Key",
      "detail": "A request with the same Idempotency-Key for the
                 same operation is being processed or is outstanding.",
    }"#;
    let stripe = r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#;
    for in_flight in [
        Reply::from(Problem::new(Code::InFlight)),
        reply(409, &[PROBLEM], draft),
        reply(
            409,
            &[],
            "A request is outstanding for this Idempotency-Key",
        ),
        reply(409, &[], stripe),
        reply(409, &[("retry-after", "0")], "busy"),
        reply(409, &[("retry-after", "0")], r#"{"code":"busy"}"#),
        // Some gateway stored it. It is no outcome.
        reply(409, &[("idempotent-replayed", "true")], stripe),
    ] {
        let mut intent = intent();
        let next = after(&mut intent, in_flight.sent());
        assert!(is_again(next), "{in_flight:?}");
        assert!(intent.may_have_run(), "{in_flight:?}");
    }
    let mismatch = Reply::from(Problem::new(Code::FingerprintMismatch));
    assert_eq!(after(&mut intent(), mismatch.sent()), Next::Done);
    assert_eq!(
        answered_in_doubt(&mismatch),
        unknown(StopReason::Unanswered)
    );
}

#[test]
fn the_rules_say_which_codes_mean_in_flight_and_whether_a_bare_409_does() {
    let busy = reply(409, &[], r#"{"code":"busy"}"#);
    assert_eq!(after(&mut intent(), busy.sent()), Next::Done);
    let rules = RetryRules::default().in_flight_code("busy");
    assert!(is_again(after(&mut Intent::new(rules), busy.sent())));

    for body in ["", "conflict", "{}"] {
        assert_eq!(answered(409, &[], body), Next::Done, "{body}");
        let rules = RetryRules::default().bare_conflict_is_in_flight(true);
        let next = after(&mut Intent::new(rules), reply(409, &[], body).sent());
        assert!(is_again(next), "{body}");
    }
    let rules = RetryRules::default().bare_conflict_is_in_flight(true);
    assert_eq!(after(&mut Intent::new(rules), busy.sent()), Next::Done);
}

#[test]
fn stripe_should_retry_decides_over_the_status() {
    const YES: (&str, &str) = ("stripe-should-retry", "true");
    const NO: (&str, &str) = ("stripe-should-retry", "false");
    for status in [400, 402, 409, 500] {
        assert!(is_again(answered(status, &[YES], "")), "{status}");
    }
    assert_eq!(answered(200, &[YES], ""), Next::Done);
    let replayed = ("idempotent-replayed", "true");
    assert_eq!(answered(500, &[YES, replayed], ""), Next::Done);
    for status in [408, 429, 500, 503] {
        let stopped = unknown(StopReason::Unanswered);
        assert_eq!(answered(status, &[NO], ""), stopped, "{status}");
    }
    assert_eq!(answered(400, &[NO], ""), Next::Done);
    assert!(is_again(answered(
        503,
        &[("stripe-should-retry", "maybe")],
        ""
    )));
}
