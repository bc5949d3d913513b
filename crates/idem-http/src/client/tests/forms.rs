//! How the key is spelled.

use idem_core::IdempotencyKey;

use super::*;
use crate::{Form, IDEMPOTENCY_KEY, KeyHeader, Malformed};

fn signed(key: &str, form: KeyForm, given: Option<&'static str>) -> Result<String, Malformed> {
    let key = IdempotencyKey::new(key).unwrap();
    let intent = Intent::fresh(key, RetryRules::default().key_form(form));
    let mut headers = HeaderMap::new();
    if let Some(given) = given {
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(given));
    }
    intent.sign(&mut headers)?;
    intent.sign(&mut headers)?;
    assert_eq!(headers.get_all(IDEMPOTENCY_KEY).iter().count(), 1);
    Ok(headers[IDEMPOTENCY_KEY].to_str().unwrap().to_owned())
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
fn a_header_of_the_callers_own_stays_as_it_is_unless_a_form_is_chosen() {
    for (form, given, sent) in [
        (KeyForm::AsGiven, Some("order-1"), "order-1"),
        (
            KeyForm::AsGiven,
            Some(r#""order-1";v=2"#),
            r#""order-1";v=2"#,
        ),
        (KeyForm::AsGiven, None, r#""order-1""#),
        (KeyForm::AsGiven, Some("order-2"), r#""order-1""#),
        (KeyForm::Quoted, Some("order-1"), r#""order-1""#),
        (KeyForm::Quoted, None, r#""order-1""#),
        (KeyForm::Bare, Some(r#""order-1""#), "order-1"),
        (KeyForm::Bare, None, "order-1"),
    ] {
        assert_eq!(
            signed("order-1", form, given).unwrap(),
            sent,
            "{form:?} {given:?}"
        );
    }
}

#[test]
fn a_key_that_the_form_cannot_carry_is_refused() {
    for key in ["two words", "a,b", r#"a"b"#, r"a\b", r#""a""#, "é"] {
        let bare = signed(key, KeyForm::Bare, None);
        assert_eq!(bare, Err(Malformed::Characters), "{key}");
    }
    assert_eq!(
        signed("two words", KeyForm::Quoted, None).unwrap(),
        r#""two words""#
    );
    assert_eq!(
        signed("é", KeyForm::Quoted, None),
        Err(Malformed::Characters)
    );
}

#[test]
fn the_header_can_have_another_name() {
    let name = HeaderName::from_static("x-request-key");
    let intent = Intent::new(RetryRules::default().header(name.clone()));
    let mut headers = HeaderMap::new();
    intent.sign(&mut headers).unwrap();
    assert!(headers.contains_key(name) && headers.len() == 1);
}
