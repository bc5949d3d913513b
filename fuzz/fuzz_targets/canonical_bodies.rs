//! Canonical forms of form and multipart bodies: no bytes make them panic, a form's canonical form is
//! its own, and the boundary of a multipart body does not matter.
#![no_main]

use idem_http::{CanonicalForm, canonical_multipart};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let form = CanonicalForm::default();
    if let Ok(canonical) = form.canonical(body) {
        let again = form
            .canonical(&canonical)
            .expect("a canonical form is a form");
        assert_eq!(again, canonical);
        let spaced = [b"&", body, b"&&"].concat();
        assert_eq!(
            form.canonical(&spaced)
                .expect("empty fields change nothing"),
            canonical
        );
    }
    if let Ok(canonical) = canonical_multipart(b"x", body) {
        // A boundary that occurs nowhere in the parts.
        let boundary = "y".repeat(70);
        let respelled = written(&boundary, &canonical);
        match canonical_multipart(boundary.as_bytes(), &respelled) {
            Ok(again) => assert_eq!(again, canonical),
            Err(_) => assert!(contains(body, format!("--{boundary}").as_bytes())),
        }
    }
});

/// The body with these parts, as its canonical form has them, and another boundary.
fn written(boundary: &str, mut canonical: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((length, rest)) = canonical.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).expect("it fits in memory");
        let (part, rest) = rest.split_at(length);
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
        canonical = rest;
    }
    body.extend_from_slice(format!("--{boundary}--").as_bytes());
    body
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}
