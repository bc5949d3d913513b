use proptest::prelude::*;

use super::*;

fn headers(lines: &[&str]) -> HeaderMap {
    let line = |line: &&str| {
        (
            IDEMPOTENCY_KEY,
            HeaderValue::from_bytes(line.as_bytes()).unwrap(),
        )
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

fn read(lines: &[&str]) -> Result<Option<IdempotencyKey>, Malformed> {
    KeyHeader::default().read(&headers(lines))
}

#[test]
fn no_line_is_no_key_and_no_error() {
    assert_eq!(read(&[]), Ok(None));
}

#[test]
fn several_lines_are_malformed_even_when_they_are_equal() {
    assert_eq!(read(&["a", "a"]), Err(Malformed::SeveralLines));
}

#[test]
fn escapes_are_decoded_before_the_length_counts() {
    let longest = format!("\"{}\"", "\\\"".repeat(255));
    assert_eq!(
        read(&[&longest]).unwrap().unwrap().as_str(),
        "\"".repeat(255)
    );
    let longer = format!("\"{}\"", "\\\"".repeat(256));
    assert_eq!(
        read(&[&longer]),
        Err(Malformed::Key(KeyError::TooLong { len: 256, max: 255 }))
    );
}

/// RFC 9651, §3.1.2: a parameter's value is any bare item.
#[test]
fn parameters_of_every_type_are_skipped_and_malformed_ones_are_not() {
    for good in [
        "a",
        "a=1",
        "a=1.5",
        "a=\"x;y\"",
        "a=tok/en",
        "a=?1",
        "a=:AQI=:",
        "a=@1",
        "*a=1",
    ] {
        assert_eq!(
            read(&[&format!("\"k\";{good}")]).unwrap().unwrap().as_str(),
            "k",
            "{good}"
        );
    }
    for bad in ["", "A", "a=", "a=\"", "1", "a=1,b", "a = 1"] {
        assert_eq!(
            read(&[&format!("\"k\";{bad}")]),
            Err(Malformed::Quoted),
            "{bad}"
        );
    }
}

#[test]
fn items_that_are_no_strings_are_bare_keys_or_malformed() {
    assert_eq!(parse(b"17", Form::Strict), Err(Malformed::NotQuoted));
    assert_eq!(parse(b"17", Form::Lenient).unwrap().as_str(), "17");
    assert_eq!(parse(b"?1", Form::Lenient).unwrap().as_str(), "?1");
    assert_eq!(parse(b"(\"a\")", Form::Strict), Err(Malformed::NotQuoted));
}

#[test]
fn a_key_outside_of_ascii_cannot_be_written() {
    let key = IdempotencyKey::new("schlüssel").unwrap();
    assert_eq!(KeyHeader::write(&key), Err(Malformed::Characters));
}

const BARE: &str = "[!#-+\\--:<-\\[\\]-~]{1,255}";

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for form in [Form::Strict, Form::Lenient] {
            if let Ok(key) = parse(&bytes, form) {
                prop_assert!((1..=255).contains(&key.as_str().len()));
            }
        }
    }

    #[test]
    fn no_text_of_telling_characters_makes_it_panic(text in "[\"\\\\;=, \tab?:@%()*.1-]{0,40}") {
        let strict = parse(text.as_bytes(), Form::Strict);
        if strict.is_ok() {
            prop_assert_eq!(parse(text.as_bytes(), Form::Lenient), strict);
        }
    }

    #[test]
    fn a_bare_key_and_the_same_in_quotes_are_one_key(key in BARE) {
        let bare = parse(key.as_bytes(), Form::Lenient);
        let quoted = format!("\"{key}\"");
        prop_assert_eq!(bare.as_ref().map(IdempotencyKey::as_str), Ok(key.as_str()));
        prop_assert_eq!(parse(quoted.as_bytes(), Form::Lenient), bare.clone());
        prop_assert_eq!(parse(quoted.as_bytes(), Form::Strict), bare);
    }

    #[test]
    fn what_is_written_is_read_back(key in "[ -~]{1,255}") {
        let key = IdempotencyKey::new(key).unwrap();
        let value = KeyHeader::write(&key).unwrap();
        prop_assert_eq!(parse(value.as_bytes(), Form::Strict), Ok(key));
    }
}
