//! [`IdempotencyKey`]: what a client sends to say "this is the same request as before".

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::redact::Shortened;

/// An idempotency key: 1 to 255 bytes of text without control characters.
///
/// A client draws one key per intent (one payment, one order) and sends it unchanged with every
/// repeat. The limits are those of the IETF draft's deployments
/// (draft-ietf-httpapi-idempotency-key-header-07, §2; Stripe: at most 255 characters). Keys are
/// case-sensitive and never trimmed.
///
/// `Debug` shows a shortened form, because whoever knows a key can ask for its stored answer.
///
/// ```
/// use idem_core::IdempotencyKey;
///
/// let key = IdempotencyKey::new("order-4711")?;
/// assert_eq!(key.as_str(), "order-4711");
/// assert!(IdempotencyKey::new("").is_err());
/// assert!(IdempotencyKey::new("two\nlines").is_err());
/// # Ok::<(), idem_core::error::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Takes a key as it is.
    ///
    /// # Errors
    /// [`KeyError`] when it is empty, longer than [`MAX_LEN`](Self::MAX_LEN) bytes, or has a
    /// control character in it.
    pub fn new(key: impl AsRef<str>) -> Result<Self, KeyError> {
        let key = key.as_ref();
        check_text(key, Self::MAX_LEN)?;
        Ok(Self(Arc::from(key)))
    }

    /// Draws a new random key: a version 4 UUID (RFC 9562, §5.4).
    ///
    /// ```
    /// use idem_core::IdempotencyKey;
    ///
    /// let key = IdempotencyKey::random(); // keep it with the order, and send it with every repeat
    /// assert_eq!(key.as_str().len(), 36);
    /// ```
    #[must_use]
    pub fn random() -> Self {
        Self::from_uuid_bytes(rand::random(), 4)
    }

    /// Formats 16 bytes as a UUID of the given version, which every API takes as a key.
    pub(crate) fn from_uuid_bytes(mut bytes: [u8; 16], version: u8) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | (version << 4);
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex = format!("{:032x}", u128::from_be_bytes(bytes));
        let (a, rest) = hex.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        Self(Arc::from(format!("{a}-{b}-{c}-{d}-{e}")))
    }

    /// The key, whole. Do not log it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no [`IdempotencyKey`] or no segment of a [`Scope`](crate::Scope).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing between the quotes.
    #[error("it is empty; send 1 to 255 bytes")]
    Empty,
    /// More bytes than allowed.
    #[error("it has {len} bytes; send at most {max}")]
    TooLong {
        /// Bytes it has.
        len: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// A control character, by its position in bytes.
    #[error("there is a control character at byte {at}; send printable text")]
    Control {
        /// Byte offset of the first control character.
        at: usize,
    },
    /// A character in a scope that cannot be seen, breaks a line, or reorders the text around it,
    /// by its position in bytes.
    #[error("there is an invisible or text-reordering character at byte {at}; use printable text")]
    Invisible {
        /// Byte offset of the first such character.
        at: usize,
    },
    /// A stored text that no [`Scope`](crate::Scope) has.
    #[error(
        "it is no scope's text: a segment is empty or not escaped; take it from `Scope::as_str`"
    )]
    NotEscaped,
}

/// Whether a character cannot be seen, breaks a line, or reorders what is around it (Unicode's
/// line and paragraph separators and its format characters). In a log line or a listing it could
/// make one scope look like another, or forge a line.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

pub(crate) fn check_text(text: &str, max: usize) -> Result<(), KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if text.len() > max {
        return Err(KeyError::TooLong {
            len: text.len(),
            max,
        });
    }
    // Most texts are printable ASCII, and this loop goes over many bytes at once.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(KeyError::Control { at }),
        None => Ok(()),
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({})", Shortened(&self.0))
    }
}

impl FromStr for IdempotencyKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, KeyError> {
        Self::new(key)
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = KeyError;

    fn try_from(key: String) -> Result<Self, KeyError> {
        Self::new(key)
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_1_to_255_bytes_and_no_control_characters() {
        assert_eq!(IdempotencyKey::new(""), Err(KeyError::Empty));
        assert!(IdempotencyKey::new("k".repeat(255)).is_ok());
        assert_eq!(
            IdempotencyKey::new("k".repeat(256)),
            Err(KeyError::TooLong { len: 256, max: 255 })
        );
        assert_eq!(
            IdempotencyKey::new("a\tb"),
            Err(KeyError::Control { at: 1 })
        );
        assert_eq!(
            IdempotencyKey::new("a\u{85}"),
            Err(KeyError::Control { at: 1 })
        );
        assert_eq!(
            IdempotencyKey::new("schlüssel ☕").unwrap().as_str(),
            "schlüssel ☕"
        );
    }

    #[test]
    fn random_keys_are_version_4_uuids_and_differ() {
        let (a, b) = (IdempotencyKey::random(), IdempotencyKey::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 36);
        assert_eq!(a.as_str().as_bytes()[14], b'4');
        assert!(matches!(
            a.as_str().as_bytes()[19],
            b'8' | b'9' | b'a' | b'b'
        ));
    }

    #[test]
    fn serde_refuses_what_new_refuses() {
        let key: IdempotencyKey = serde_json::from_str("\"k\"").unwrap();
        assert_eq!(serde_json::to_string(&key).unwrap(), "\"k\"");
        assert!(serde_json::from_str::<IdempotencyKey>("\"\"").is_err());
    }

    #[test]
    fn debug_is_shortened() {
        let key = IdempotencyKey::new("secret-order-key-0001").unwrap();
        assert!(!format!("{key:?}").contains("order-key"));
    }
}
