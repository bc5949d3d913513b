//! [`Fingerprint`]: what makes two requests "the same".

mod canonical;

use std::fmt;

use serde::Serialize;

pub use canonical::FingerprintError;

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
    /// answer [`Mismatch`](crate::Refused::Mismatch) instead of being confused with the new one.
    pub fn builder(domain: &str) -> FingerprintBuilder {
        FingerprintBuilder {
            short: Vec::with_capacity(ROOM),
            long: None,
        }
        .piece(domain.as_bytes())
    }

    /// The fingerprint of one byte string, such as a request body.
    ///
    /// ```
    /// use idem_core::Fingerprint;
    ///
    /// let body = br#"{"amount":500}"#;
    /// assert_eq!(Fingerprint::of("payments/v1", body), Fingerprint::of("payments/v1", body));
    /// assert_ne!(Fingerprint::of("payments/v1", body), Fingerprint::of("refunds/v1", body));
    /// ```
    #[must_use]
    pub fn of(domain: &str, bytes: &[u8]) -> Self {
        Self::builder(domain).field("bytes", bytes).finish()
    }

    /// The fingerprint of any value that serialises.
    ///
    /// Distinct values have distinct fingerprints, also where JSON writes them alike: `None`, `()`
    /// and `f64::NAN`, or the integer 1 and the text `"1"` as keys of a map. The names of fields
    /// count and their order does not; neither does the order of a map's entries. An integer counts
    /// by its value, whatever its type.
    ///
    /// ```
    /// use idem_core::Fingerprint;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Payment<'a> {
    ///     amount: u64,
    ///     currency: &'a str,
    ///     tip: Option<f64>,
    /// }
    /// let payment = |tip| Payment { amount: 500, currency: "usd", tip };
    /// let without = Fingerprint::of_serialize("payments/v1", &payment(None))?;
    /// let broken = Fingerprint::of_serialize("payments/v1", &payment(Some(f64::NAN)))?;
    /// assert_ne!(without, broken);
    /// # Ok::<(), idem_core::error::FingerprintError>(())
    /// ```
    ///
    /// # Errors
    /// [`FingerprintError`] with what the value's `Serialize` reports.
    pub fn of_serialize<T: Serialize + ?Sized>(
        domain: &str,
        value: &T,
    ) -> Result<Self, FingerprintError> {
        Ok(Self::builder(domain)
            .field("serde", &canonical::to_bytes(value)?)
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

/// What most requests fit in.
const ROOM: usize = 512;

/// From here on bytes go through a hasher of their own. Below, they are hashed in one go: the state
/// of a hasher takes 2 KB to set up and to hand from field to field.
const SHORT: usize = 4096;

/// Collects labelled fields into a [`Fingerprint`].
#[derive(Debug, Clone)]
#[must_use = "call `finish` to get the fingerprint"]
pub struct FingerprintBuilder {
    /// What is not hashed yet.
    short: Vec<u8>,
    /// What is, where there was too much to keep.
    long: Option<Box<blake3::Hasher>>,
}

impl FingerprintBuilder {
    /// Adds a field. Label and value carry their lengths, so fields cannot run into each other.
    pub fn field(self, label: &str, value: &[u8]) -> Self {
        self.piece(label.as_bytes()).piece(value)
    }

    /// The hash of all that went in.
    #[must_use]
    pub fn finish(mut self) -> Fingerprint {
        Fingerprint(match self.long.take() {
            None => blake3::hash(&self.short),
            Some(mut hasher) => hasher.update(&self.short).finalize(),
        })
    }

    fn piece(mut self, bytes: &[u8]) -> Self {
        self.short
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        if self.short.len() + bytes.len() <= SHORT {
            self.short.extend_from_slice(bytes);
            return self;
        }
        let mut hasher = self.long.take().unwrap_or_default();
        hasher.update(&self.short).update(bytes);
        self.short.clear();
        self.long = Some(hasher);
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
        let value = (1, -1_i64, Some("hello"), None::<u8>, [0.5], ());
        assert_eq!(
            blake3::Hash::from_bytes(
                *Fingerprint::of_serialize("golden/v1", &value)
                    .unwrap()
                    .as_bytes()
            )
            .to_hex()
            .as_str(),
            "6a4f112b2f16dbbb4474f398a972288c32026ced97ad326db0b1a02cd76e1a26"
        );
    }

    /// However long the fields are, the hash is that of all their bytes in a row.
    #[test]
    fn short_and_long_fields_are_hashed_alike() {
        for len in [0, 1, SHORT - 20, SHORT - 10, SHORT, SHORT + 1, 3 * SHORT] {
            let value = vec![b'x'; len];
            let print = Fingerprint::builder("d")
                .field("a", &value)
                .field("b", b"y")
                .field("c", &value)
                .finish();
            let mut row = Vec::new();
            for piece in [b"d".as_slice(), b"a", &value, b"b", b"y", b"c", &value] {
                row.extend_from_slice(&(piece.len() as u64).to_le_bytes());
                row.extend_from_slice(piece);
            }
            assert_eq!(print.as_bytes(), blake3::hash(&row).as_bytes(), "{len}");
        }
    }

    #[test]
    fn debug_is_shortened_and_bytes_round_trip() {
        let print = Fingerprint::of("d", b"x");
        assert_eq!(Fingerprint::from_bytes(*print.as_bytes()), print);
        assert!(format!("{print:?}").len() < 32);
    }
}
