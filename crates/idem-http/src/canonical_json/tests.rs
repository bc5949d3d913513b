use proptest::prelude::*;

use super::*;

fn canonical(body: &str) -> Result<String, NotCanonical> {
    let canonical = CanonicalJson::default().canonical(body.as_bytes())?;
    Ok(String::from_utf8(canonical).unwrap())
}

#[test]
fn order_and_white_space_do_not_matter() {
    assert_eq!(
        canonical(" {\"b\" : [1, 2.50, true] ,\n\"a\": null} ").unwrap(),
        r#"{"a":null,"b":[1,2.5,true]}"#
    );
}

/// RFC 8785, §3.2.3: members are sorted by their UTF-16 code units.
#[test]
fn members_are_sorted_by_utf_16() {
    assert_eq!(
        canonical(r#"{"\ufb33":1,"\ud83d\ude00":2,"\u20ac":3,"\r":4,"1":5}"#).unwrap(),
        "{\"\\r\":4,\"1\":5,\"€\":3,\"😀\":2,\"\u{fb33}\":1}"
    );
}

#[test]
fn a_member_that_is_there_twice_is_refused_at_any_depth_and_in_any_spelling() {
    for body in [
        r#"{"amount":1,"amount":100}"#,
        r#"{"a":{"b":[{"c":1,"c":1}]}}"#,
        r#"{"amount":1,"\u0061mount":100}"#,
    ] {
        assert!(
            matches!(canonical(body), Err(NotCanonical::NotJson(_))),
            "{body}"
        );
    }
}

#[test]
fn two_amounts_are_never_folded_into_one() {
    let refused = canonical(r#"{"amount": 9007199254740993}"#);
    assert!(matches!(refused, Err(NotCanonical::Number { at: 11 })));
    assert!(canonical("[0.1000000000000000055]").is_err());
    assert!(canonical(r#"["9007199254740993"]"#).is_ok());
    assert!(canonical(r#"["\"9007199254740993"]"#).is_ok());
}

#[test]
fn what_is_no_json_is_refused() {
    for body in [
        "",
        "{",
        "{} {}",
        "[1,]",
        "\"\\ud800\"",
        "nul",
        "01",
        "NaN",
        "[\"\x01\"]",
    ] {
        assert!(canonical(body).is_err(), "{body}");
    }
    assert!(CanonicalJson::default().canonical(b"\"\xff\"").is_err());
    let deep = "[".repeat(100_000);
    assert!(canonical(&deep).is_err());
}

#[test]
fn ignored_members_do_not_count() {
    let json = CanonicalJson::default()
        .ignoring("/meta/sent~1at")
        .and_then(|json| json.ignoring("/nonce"))
        .unwrap();
    let with = json
        .canonical(br#"{"a":1,"nonce":7,"meta":{"sent/at":1,"by":"x"}}"#)
        .unwrap();
    assert_eq!(with, br#"{"a":1,"meta":{"by":"x"}}"#);
    assert_eq!(json.canonical(b"[1]").unwrap(), b"[1]");
}

#[test]
fn ignored_elements_of_arrays_do_not_count() {
    let json = CanonicalJson::default().ignoring("/items/1").unwrap();
    let canonical =
        |body: &str| String::from_utf8(json.canonical(body.as_bytes()).unwrap()).unwrap();
    assert_eq!(canonical(r#"{"items":[1,2,3]}"#), r#"{"items":[1,3]}"#);
    assert_eq!(canonical(r#"{"items":[1]}"#), r#"{"items":[1]}"#);
    let leading_zero = CanonicalJson::default().ignoring("/00").unwrap();
    assert_eq!(leading_zero.canonical(b"[1]").unwrap(), b"[1]");
}

#[test]
fn g4_text_that_is_not_a_json_pointer_is_refused_when_it_is_given() {
    for pointer in ["", "sent_at", "#/sent_at", "$.sent_at", "/a~", "/a~2b"] {
        let refused = CanonicalJson::default().ignoring(pointer).unwrap_err();
        assert!(
            refused.to_string().contains(&format!("`{pointer}`")),
            "{refused}"
        );
    }
    for pointer in ["/", "/a", "/a~0~1b", "/a/0/b"] {
        assert!(
            CanonicalJson::default().ignoring(pointer).is_ok(),
            "{pointer}"
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1i64 << 53) + 1..(1i64 << 53)).prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_form_is_canonical(value in any_json()) {
        let compact = canonical(&serde_json::to_string(&value).unwrap());
        let pretty = canonical(&serde_json::to_string_pretty(&value).unwrap());
        prop_assert_eq!(compact.unwrap(), pretty.unwrap());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = CanonicalJson::default().canonical(&bytes);
    }

    #[test]
    fn no_text_of_json_characters_makes_it_panic(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\utrfalsn ]{0,64}") {
        let _ = canonical(&text);
    }
}
