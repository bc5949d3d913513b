//! What a verifier takes.

use std::time::Duration;

use idem_conformance::DURATIONS;
use idem_webhook::{Invalid, SecretError, Verifier};

use crate::support::{
    GITHUB, NOW, STANDARD, STRIPE, at, by_github, by_stripe, headers, hex, hmac, signed, verify,
};

const EXAMPLE: &str = r#"{"test": 2432232314}"#;
const EXAMPLE_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const OTHER_SIGNATURE: &str = "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo=";

fn standard() -> Verifier {
    Verifier::standard([STANDARD]).unwrap().clock(at(NOW))
}

fn stripe() -> Verifier {
    Verifier::stripe([STRIPE]).unwrap().clock(at(NOW))
}

/// The example of the specification's libraries, under its own names and under Svix's.
#[test]
fn the_example_of_standard_webhooks_is_taken() {
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let example = headers([
        ("webhook-id", id),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", EXAMPLE_SIGNATURE),
    ]);
    assert_eq!(verify(&standard(), &example, EXAMPLE).unwrap(), id);

    let svix = headers([
        ("svix-id", id),
        ("svix-timestamp", "1614265330"),
        ("svix-signature", EXAMPLE_SIGNATURE),
    ]);
    let verifier = Verifier::svix([STANDARD]).unwrap().clock(at(NOW));
    assert_eq!(verify(&verifier, &svix, EXAMPLE).unwrap(), id);
}

/// The example of GitHub's documentation, *Testing the webhook payload validation*.
#[test]
fn the_example_of_github_is_taken() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let example = headers([
        ("x-hub-signature-256", signature),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-github-event", "issues"),
    ]);
    let verifier = Verifier::github([GITHUB]).unwrap();
    let verified = verifier.verify(&example, b"Hello, World!").unwrap();
    assert_eq!(verified.kind(), Some("issues"));
    assert_eq!(
        verifier.verify(&example, b"Hello, World?").unwrap_err(),
        Invalid::SignatureWrong
    );
}

/// Stripe publishes steps and no example. This one was computed by them with Python's `hmac`.
#[test]
fn a_delivery_of_stripes_is_taken() {
    let body = r#"{"id":"evt_test_webhook","object":"event"}"#;
    let signature = "3bd345f6810b62c5f9d1d14d90f64648655a79edba2bdf42b371ba9183f6df31";
    let value = format!("t=1614265330,v1={signature},v0=6ffbb59b2300aae63f272406069a9788598b");
    let example = headers([("stripe-signature", &value)]);
    assert_eq!(
        verify(&stripe(), &example, body).unwrap(),
        "evt_test_webhook"
    );
}

#[test]
fn of_several_signatures_one_has_to_fit() {
    let one_of_three = format!("{OTHER_SIGNATURE} v2,{} {EXAMPLE_SIGNATURE}", "bm9wZQ==");
    let first_of_two = format!("{EXAMPLE_SIGNATURE} {OTHER_SIGNATURE}");
    let none = format!("{OTHER_SIGNATURE} {OTHER_SIGNATURE}");
    for (signatures, fits) in [(one_of_three, true), (first_of_two, true), (none, false)] {
        let example = headers([
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", &signatures),
        ]);
        assert_eq!(verify(&standard(), &example, EXAMPLE).is_ok(), fits);
    }
    let right = hex(&hmac(
        STRIPE.as_bytes(),
        format!("{NOW}.{{\"id\":\"e\"}}").as_bytes(),
    ));
    let wrong = "0".repeat(64);
    let two = headers([(
        "stripe-signature",
        &format!("t={NOW},v1={wrong},v1={right}"),
    )]);
    assert_eq!(verify(&stripe(), &two, r#"{"id":"e"}"#).unwrap(), "e");
}

#[test]
fn while_a_secret_is_rotated_both_are_taken() {
    let delivered = by_stripe(r#"{"id":"evt_1"}"#);
    for (secrets, fits) in [
        (vec!["whsec_new", STRIPE], true),
        (vec![STRIPE, "whsec_new"], true),
        (vec!["whsec_new"], false),
    ] {
        let verifier = Verifier::stripe(secrets).unwrap().clock(at(NOW));
        let verified = verify(&verifier, &delivered, r#"{"id":"evt_1"}"#);
        assert_eq!(verified.is_ok(), fits);
    }
}

#[test]
fn a_timestamp_counts_in_both_directions() {
    let delivered = signed("e", NOW, b"{}");
    let refused = |is_old, apart| {
        Err(Invalid::TimestampRefused {
            is_old,
            apart: Duration::from_secs(apart),
            tolerance: Duration::from_secs(300),
        })
    };
    for (now, expected) in [
        (NOW + 300, Ok("e".to_owned())),
        (NOW - 300, Ok("e".to_owned())),
        (NOW + 301, refused(true, 301)),
        (NOW - 301, refused(false, 301)),
    ] {
        assert_eq!(
            verify(&standard().clock(at(now)), &delivered, "{}"),
            expected
        );
    }
    let patient = standard()
        .tolerance(Duration::from_secs(3600))
        .clock(at(NOW + 3600));
    assert!(verify(&patient, &delivered, "{}").is_ok());
    // The time is signed: nobody makes an old delivery young.
    let mut younger = signed("e", NOW - 4000, b"{}");
    younger.insert("webhook-timestamp", NOW.into());
    assert_eq!(
        verify(&standard(), &younger, "{}"),
        Err(Invalid::SignatureWrong)
    );
}

#[test]
fn a_secret_that_anybody_knows_makes_no_verifier() {
    let none: [&str; 0] = [];
    assert_eq!(Verifier::stripe(none).unwrap_err(), SecretError::None);
    assert_eq!(Verifier::github([""]).unwrap_err(), SecretError::Empty);
    assert_eq!(
        Verifier::stripe([STRIPE, ""]).unwrap_err(),
        SecretError::Empty
    );
    assert_eq!(
        Verifier::standard(["whsec_"]).unwrap_err(),
        SecretError::Empty
    );
    assert_eq!(
        Verifier::standard(["whsec_?"]).unwrap_err(),
        SecretError::NotBase64
    );
}

/// What is wrong with a header is told by its name, whatever the scheme.
#[test]
fn malformed_headers_are_told_apart() {
    let body = r#"{"id":"evt_1"}"#;
    let stripe_says = |value: &str| {
        let headers = headers([("stripe-signature", value)]);
        verify(&stripe(), &headers, body).unwrap_err().to_string()
    };
    let zeros = "0".repeat(64);
    for (value, why) in [
        ("", "has no `t`"),
        ("t=1", "has no `v1` signature"),
        ("t=1,v1=xyz", "has no `v1` signature"),
        (&format!("t=1,t=2,v1={zeros}"), "has two times"),
        (&format!("t=+1,v1={zeros}"), "has no time in whole seconds"),
        (
            &format!("t=99999999999999999999,v1={zeros}"),
            "has no time in whole seconds",
        ),
        (
            &format!("t=1,v1={zeros}é"),
            "has characters outside of ASCII",
        ),
    ] {
        assert_eq!(
            stripe_says(value),
            format!("the header stripe-signature {why}")
        );
    }

    for missing in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut lines = signed("e", NOW, b"{}");
        lines.remove(missing);
        assert_eq!(
            verify(&standard(), &lines, "{}"),
            Err(Invalid::HeaderMissing(missing))
        );
        let mut twice = signed("e", NOW, b"{}");
        twice.append(missing, twice[missing].clone());
        let refused = verify(&standard(), &twice, "{}").unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("the header {missing} is there twice")
        );
    }

    let mut sha1 = by_github("g", body);
    sha1.insert("x-hub-signature-256", "sha1=00".parse().unwrap());
    let verifier = Verifier::github([GITHUB]).unwrap();
    let refused = verify(&verifier, &sha1, body).unwrap_err();
    assert_eq!(refused.code(), "header-malformed");
}

/// An id is looked at once it is known to be the sender's.
#[test]
fn an_id_has_to_fit_into_a_key() {
    let longest = "i".repeat(255);
    assert_eq!(
        verify(&standard(), &signed(&longest, NOW, b"{}"), "{}").unwrap(),
        longest
    );
    for id in [String::new(), "i".repeat(300)] {
        let refused = verify(&standard(), &signed(&id, NOW, b"{}"), "{}").unwrap_err();
        assert_eq!(
            (refused.code(), refused.status().as_u16()),
            ("id-refused", 400)
        );
    }
    for body in ["not JSON", r#"{"object":"event"}"#, r#"{"id":7}"#] {
        assert_eq!(
            verify(&stripe(), &by_stripe(body), body),
            Err(Invalid::IdMissing)
        );
    }
}

#[test]
fn secrets_and_bodies_stay_out_of_debug() {
    assert!(!format!("{:?}", stripe()).contains(STRIPE));
}

#[test]
fn every_tolerance_is_kept_to() {
    for tolerance in DURATIONS {
        for time in [0, NOW - 31, NOW + 31, u64::MAX] {
            let verifier = standard().tolerance(tolerance);
            let verified = verify(&verifier, &signed("id", time, b"{}"), "{}");
            let fresh = time.abs_diff(NOW) <= tolerance.as_secs();
            assert_eq!(verified.is_ok(), fresh, "{tolerance:?}, {time}");
        }
    }
}
