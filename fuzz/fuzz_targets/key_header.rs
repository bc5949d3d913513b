//! The key header: no bytes make it panic, a strict key is a lenient one, and what was read can be
//! written and read back.
#![no_main]

use idem_http::{Form, KeyHeader, parse_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let lenient = parse_key(value, Form::Lenient);
    if let Ok(strict) = parse_key(value, Form::Strict) {
        assert_eq!(lenient, Ok(strict));
    }
    if let Ok(key) = lenient {
        assert!((1..=255).contains(&key.as_str().len()));
        let written = KeyHeader::write(&key).expect("what a header carried is ASCII");
        assert_eq!(parse_key(written.as_bytes(), Form::Strict), Ok(key));
    }
});
