//! Keys to hand to the next API downstream.

use crate::{Fingerprint, IdempotencyKey, RecordKey};

/// A key that depends on the intent and the step alone, not on the attempt.
///
/// The fingerprint is part of it: a key that is used again for another request, after its
/// retention, must not be taken for the old one downstream. The form is a version 8 UUID
/// (RFC 9562, §5.8), which fits every API's limits.
pub(crate) fn derive_key(key: &RecordKey, print: &Fingerprint, step: &str) -> IdempotencyKey {
    let hash = Fingerprint::builder("idem/derive/v1")
        .field("key", key.as_str().as_bytes())
        .field("fingerprint", print.as_bytes())
        .field("step", step.as_bytes())
        .finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    IdempotencyKey::from_uuid_bytes(bytes, 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    #[test]
    fn g8_a_derived_key_is_stable_and_tells_steps_keys_and_requests_apart() {
        let key = |k| Scope::global().key(&IdempotencyKey::new(k).unwrap());
        let print = |b: &[u8]| Fingerprint::of("t", b);
        let base = derive_key(&key("a"), &print(b"1"), "charge");
        assert_eq!(base, derive_key(&key("a"), &print(b"1"), "charge"));
        assert_eq!(base.as_str().as_bytes()[14], b'8');
        for other in [
            derive_key(&key("a"), &print(b"1"), "email"),
            derive_key(&key("b"), &print(b"1"), "charge"),
            derive_key(&key("a"), &print(b"2"), "charge"),
        ] {
            assert_ne!(base, other);
        }
    }
}
