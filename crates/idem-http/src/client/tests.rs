use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::{Form, Problem, problem::Code};

fn intent() -> Intent {
    Intent::new(RetryRules::default())
}

fn answered(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Next {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    let status = StatusCode::from_u16(status).unwrap();
    let sent = Sent::Answered {
        status,
        headers: &headers,
        body,
    };
    intent().after(sent, Duration::ZERO, 1.0)
}

fn again(seconds: u64) -> Next {
    Next::SendAgain(Duration::from_secs(seconds))
}

#[test]
fn every_sending_carries_the_same_key_in_the_strict_form() {
    let intent = intent();
    let mut headers = HeaderMap::new();
    intent.sign(&mut headers).unwrap();
    intent.sign(&mut headers).unwrap();
    let strict = KeyHeader {
        form: Form::Strict,
        ..KeyHeader::default()
    };
    assert_eq!(strict.read(&headers).unwrap().as_ref(), Some(intent.key()));
}

#[test]
fn what_may_change_is_sent_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        assert!(
            matches!(answered(status, &[], b""), Next::SendAgain(_)),
            "{status}"
        );
    }
    assert!(matches!(
        intent().after(Sent::Lost, Duration::ZERO, 0.0),
        Next::SendAgain(_)
    ));
    assert!(matches!(
        intent().after(Sent::NotSent, Duration::ZERO, 0.0),
        Next::SendAgain(_)
    ));
}

#[test]
fn what_counts_is_not_sent_again() {
    for status in [200, 201, 204, 303, 400, 401, 403, 404, 413, 422] {
        assert_eq!(answered(status, &[], b""), Next::Done, "{status}");
    }
}

#[test]
fn a_replayed_500_is_the_answer_and_never_changes() {
    assert_eq!(
        answered(500, &[("idempotent-replayed", "true")], b""),
        Next::Done
    );
}

#[test]
fn a_409_is_sent_again_in_flight_and_never_for_a_mismatch_or_an_unknown_outcome() {
    let body = |code| Problem::new(code).to_json();
    let after = [("retry-after", "7")];
    assert_eq!(answered(409, &after, &body(Code::InFlight)), again(7));
    assert_eq!(
        answered(409, &after, &body(Code::FingerprintMismatch)),
        Next::Done
    );
    assert_eq!(answered(409, &[], &body(Code::OutcomeUnknown)), Next::Done);
    // From a server without codes.
    assert_eq!(answered(409, &after, b"busy"), again(7));
    assert_eq!(answered(409, &[], b"conflict"), Next::Done);
}

#[test]
fn retry_after_is_a_least_pause_in_seconds_or_by_the_servers_own_clock() {
    assert_eq!(answered(503, &[("retry-after", "120")], b""), again(120));
    let dates = [
        ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("retry-after", "Tue, 15 Nov 1994 08:13:31 GMT"),
    ];
    assert_eq!(answered(503, &dates, b""), again(60));
    let backoff = Next::SendAgain(Duration::from_millis(200));
    for nonsense in ["", "-1", "soon", "Tue, 15 Nov 1994 08:13:31 GMT"] {
        assert_eq!(
            answered(503, &[("retry-after", nonsense)], b""),
            backoff,
            "{nonsense}"
        );
    }
}

#[test]
fn pauses_double_up_to_the_longest_and_are_jittered_by_half() {
    let pauses = |jitter| {
        let mut intent = Intent::new(RetryRules {
            most_sendings: 10,
            longest_pause: Duration::from_secs(2),
            ..RetryRules::default()
        });
        let mut pause = || match intent.after(Sent::NotSent, Duration::ZERO, jitter) {
            Next::SendAgain(pause) => pause.as_millis(),
            other => panic!("{other:?}"),
        };
        [pause(), pause(), pause(), pause(), pause(), pause()]
    };
    assert_eq!(pauses(1.0), [200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(pauses(0.0), [100, 200, 400, 800, 1000, 1000]);
}

#[test]
fn nothing_is_sent_that_could_arrive_after_the_retention() {
    let day = Duration::from_secs(24 * 3600);
    let mut late = intent();
    let before = day - Duration::from_millis(201);
    assert_eq!(
        late.after(Sent::Lost, before, 1.0),
        Next::SendAgain(Duration::from_millis(200))
    );
    let gave_up = Next::GiveUp(GaveUp::OutcomeUnknown);
    assert_eq!(late.after(Sent::Lost, day, 1.0), gave_up);
    assert!(
        GaveUp::OutcomeUnknown
            .to_string()
            .contains("outcome is unknown")
    );
}

#[test]
fn giving_up_tells_what_never_arrived_from_what_may_have_been_run() {
    let last = |sent: [Sent<'_>; 2]| {
        let mut intent = Intent::new(RetryRules {
            most_sendings: 2,
            ..RetryRules::default()
        });
        intent.after(sent[0], Duration::ZERO, 0.0);
        intent.after(sent[1], Duration::ZERO, 0.0)
    };
    let headers = HeaderMap::new();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let away = Sent::Answered {
        status,
        headers: &headers,
        body: b"",
    };
    let nothing = Next::GiveUp(GaveUp::NothingRan);
    let unknown = Next::GiveUp(GaveUp::OutcomeUnknown);
    assert_eq!(last([Sent::NotSent, away]), nothing);
    assert_eq!(last([Sent::Lost, Sent::NotSent]), unknown);
    assert_eq!(last([away, Sent::Lost]), unknown);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic_or_wait_past_the_retention(
        status in 100u16..1000,
        retry_after in "[ -~]{0,30}",
        body in prop::collection::vec(any::<u8>(), 0..60),
        since in any::<u64>(),
        jitter in prop_oneof![any::<f64>(), Just(f64::NAN)],
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_str(&retry_after).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let since = Duration::from_millis(since);
        let sent = Sent::Answered { status, headers: &headers, body: &body };
        if let Next::SendAgain(pause) = intent().after(sent, since, jitter) {
            prop_assert!(since + pause < RetryRules::default().retention);
        }
    }
}
