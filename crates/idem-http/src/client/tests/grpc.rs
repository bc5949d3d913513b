//! A gRPC answer is read by its status and the entries of the layer, in headers or trailers.

use super::*;

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

fn ended(status: &str, entries: &[(&'static str, &str)]) -> Reply {
    let mut headers = vec![GRPC, ("grpc-status", status)];
    headers.extend(entries);
    reply(200, &headers, "")
}

fn problem<'a>(code: &'a str, pushback: &'a str) -> [(&'static str, &'a str); 2] {
    [
        ("idempotency-problem", code),
        ("grpc-retry-pushback-ms", pushback),
    ]
}

#[test]
fn a_status_is_the_outcome_or_trouble() {
    for (status, after_first, in_doubt) in [
        ("0", Next::Done, Next::Done),
        ("3", Next::Done, unknown(StopReason::Unanswered)),
        ("7", Next::Done, unknown(StopReason::Unanswered)),
        ("10", Next::Done, unknown(StopReason::Unanswered)),
    ] {
        let reply = ended(status, &[]);
        assert_eq!(after(&mut intent(), reply.sent()), after_first, "{status}");
        assert_eq!(answered_in_doubt(&reply), in_doubt, "{status}");
    }
    for status in ["1", "2", "4", "8", "13", "14", "15", "99", "OK"] {
        let mut intent = intent();
        assert!(is_again(after(&mut intent, ended(status, &[]).sent())));
        assert!(intent.may_have_run());
        // Stored, it is the outcome.
        let replay = ended(status, &[("idempotent-replayed", "true")]);
        assert_eq!(after(&mut intent, replay.sent()), Next::Done);
    }
}

#[test]
fn the_layers_problems_say_whether_it_helps_to_come_back() {
    for (code, status) in [
        ("in-flight", "10"),
        ("rolled-back", "10"),
        ("commit-unknown", "14"),
        ("overloaded", "14"),
    ] {
        let mut intent = intent();
        let next = after(&mut intent, ended(status, &problem(code, "7000")).sent());
        assert_eq!(next, again(7), "{code}");
        assert!(intent.may_have_run());
    }
    let mismatch = ended("9", &problem("fingerprint-mismatch", "-1"));
    assert_eq!(after(&mut intent(), mismatch.sent()), Next::Done);
    let halted = ended("9", &problem("outcome-unknown", "-1"));
    let stopped = unknown(StopReason::Unanswered);
    assert_eq!(after(&mut intent(), halted.sent()), stopped);
}

#[test]
fn a_store_that_is_away_certifies_that_nothing_ran() {
    let away = ended("14", &problem("store-unavailable", "1000"));
    let mut fresh = intent();
    assert_eq!(after(&mut fresh, away.sent()), again(1));
    assert!(!fresh.may_have_run());
    // An earlier sending stays in doubt.
    let mut lost = intent();
    after(&mut lost, Sent::Lost);
    after(&mut lost, away.sent());
    assert!(lost.may_have_run());
    let mut wary = Intent::new(RetryRules::default().trust_certificates(false));
    after(&mut wary, away.sent());
    assert!(wary.may_have_run());
}

/// A proxy answers with an HTTP status, and no word of gRPC.
#[test]
fn without_a_grpc_answer_the_http_status_counts() {
    assert!(is_again(answered(503, &[GRPC], "")));
    assert_eq!(answered(404, &[GRPC], ""), Next::Done);
}
