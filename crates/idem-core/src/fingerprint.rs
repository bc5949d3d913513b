//! [`Fingerprint`]: what makes two requests "the same".

use std::fmt;

use serde::Serialize;

/// A 32-byte BLAKE3 hash over the parts of a request that must not change under one key.
///
/// A repeat with another fingerprint is another request: it is refused and never runs (G4).
/// Comparison takes constant time.
///
/// ```
/// use idem_core::Fingerprint;
///
/// let first = Fingerprint::builder("payments/v1")
///     .field("amount", b"500")
///     .field("currency", b"usd")
///     .finish();
/// let other = Fingerprint::builder("payments/v1")
///     .field("amount", b"5")
///     .field("currency", b"00usd")
///     .finish();
/// assert_ne!(first, other); // every field is labelled and carries its length
/// ```
// `blake3::Hash` compares in constant time; a derived `==` delegates to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// Starts a fingerprint under a versioned domain such as `"payments/v1"`.
    ///
    /// Change the version when you change which fields go in: records of the old version then
    /// answer [`Mismatch`](crate::Claim::Mismatch) instead of being confused with the new one.
    pub fn builder(domain: &str) -> FingerprintBuilder {
        FingerprintBuilder {
            hasher: blake3::Hasher::new(),
        }
        .piece(domain.as_bytes())
    }

    /// The fingerprint of one byte string, such as a request body.
    #[must_use]
    pub fn of(domain: &str, bytes: &[u8]) -> Self {
        Self::builder(domain).field("bytes", bytes).finish()
    }

    /// The fingerprint of any value that serialises, by its JSON text.
    ///
    /// Field order counts: use a struct, or a map that sorts, rather than a `HashMap`.
    ///
    /// # Errors
    /// What the value's `Serialize` reports.
    pub fn of_serialize<T: Serialize + ?Sized>(
        domain: &str,
        value: &T,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self::builder(domain)
            .field("json", &serde_json::to_vec(value)?)
            .finish())
    }

    /// Takes 32 bytes that [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({}…)", &self.0.to_hex()[..8])
    }
}

/// Collects labelled fields into a [`Fingerprint`].
#[derive(Debug, Clone)]
#[must_use = "call `finish` to get the fingerprint"]
pub struct FingerprintBuilder {
    hasher: blake3::Hasher,
}

impl FingerprintBuilder {
    /// Adds a field. Label and value carry their lengths, so fields cannot run into each other.
    pub fn field(self, label: &str, value: &[u8]) -> Self {
        self.piece(label.as_bytes()).piece(value)
    }

    /// The hash of all that went in.
    #[must_use]
    pub fn finish(self) -> Fingerprint {
        Fingerprint(self.hasher.finalize())
    }

    fn piece(mut self, bytes: &[u8]) -> Self {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_labels_and_boundaries_all_count() {
        let base = Fingerprint::builder("d/v1").field("a", b"bc").finish();
        let others = [
            Fingerprint::builder("d/v2").field("a", b"bc").finish(),
            Fingerprint::builder("d/v1").field("ab", b"c").finish(),
            Fingerprint::builder("d/v1")
                .field("a", b"bc")
                .field("", b"")
                .finish(),
            Fingerprint::builder("d/v1")
                .field("a", b"b")
                .field("c", b"")
                .finish(),
        ];
        assert!(others.iter().all(|other| *other != base));
        assert_eq!(
            base,
            Fingerprint::builder("d/v1").field("a", b"bc").finish()
        );
    }

    /// Golden: stored records outlive a release, so the hash of the same fields may never change.
    #[test]
    fn the_hash_is_stable_across_releases() {
        assert_eq!(
            blake3::Hash::from_bytes(*Fingerprint::of("golden/v1", b"hello").as_bytes())
                .to_hex()
                .as_str(),
            "e12539585460f2a926e9ebe34e0f84a4bac24d0a6b676564f8a78da40b450f72"
        );
    }

    #[test]
    fn debug_is_shortened_and_bytes_round_trip() {
        let print = Fingerprint::of("d", b"x");
        assert_eq!(Fingerprint::from_bytes(*print.as_bytes()), print);
        assert!(format!("{print:?}").len() < 32);
    }
}
