//! Canonical JSON: no bytes make it panic, and white space does not matter.
#![no_main]

use idem_http::CanonicalJson;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let json = CanonicalJson::default();
    if let Ok(canonical) = json.canonical(body) {
        let spaced = [b" \n", body, b"\t "].concat();
        assert_eq!(
            json.canonical(&spaced).expect("spaces change nothing"),
            canonical
        );
        // A double such as 1e20 is written without an exponent, and as an integer it is refused.
        if let Ok(again) = json.canonical(&canonical) {
            assert_eq!(again, canonical);
        }
    }
});
