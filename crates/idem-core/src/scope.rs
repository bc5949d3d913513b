//! [`Scope`]: whose key it is, and [`RecordKey`]: a key within its scope, as stores see it.

use std::{fmt, sync::Arc};

use crate::{
    IdempotencyKey,
    error::KeyError,
    key::{check_text, is_invisible},
    redact::{Printable, Shortened},
};

/// The namespace of a key: tenant, principal, operation, or any path of such segments.
///
/// Two callers who happen to send the same key must never see each other's answers, so every key
/// lives in a scope. Derive it from the *verified* caller, never from what the request claims.
///
/// A scope is a path of segments. Its text escapes what would make two paths look alike, so
/// distinct paths stay distinct in every store (rule S8):
///
/// ```
/// use idem_core::Scope;
///
/// let scope = Scope::new("merchant:7")?.child("refunds/v1")?;
/// assert_eq!(scope.as_str(), "merchant%3A7/refunds%2Fv1");
/// # Ok::<(), idem_core::error::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The longest segment, in bytes before escaping.
    pub const MAX_SEGMENT: usize = 255;
    /// The longest scope, in bytes after escaping.
    pub const MAX_LEN: usize = 1024;

    /// One namespace for all callers. Say it out loud: whoever knows a key gets its answer.
    #[must_use]
    pub fn global() -> Self {
        Self(Arc::from(""))
    }

    /// A scope of one segment.
    ///
    /// # Errors
    /// [`KeyError`] when the segment is empty, too long, or has a control character or one that
    /// cannot be seen or reorders text: a scope is shown in logs and listings, where it must not
    /// look like another one.
    pub fn new(segment: impl AsRef<str>) -> Result<Self, KeyError> {
        Self::joined("", segment.as_ref())
    }

    /// The scope one level further down.
    ///
    /// ```
    /// use idem_core::{IdempotencyKey, Scope};
    ///
    /// let merchant = Scope::new("merchant-7")?;
    /// let key = IdempotencyKey::new("order-4711")?;
    /// // One key may serve a payment and a refund: they are two records.
    /// assert_ne!(merchant.child("payments")?.key(&key), merchant.child("refunds")?.key(&key));
    /// # Ok::<(), idem_core::error::KeyError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Scope::new`], and [`KeyError::TooLong`] when the whole path passes
    /// [`MAX_LEN`](Self::MAX_LEN).
    pub fn child(&self, segment: impl AsRef<str>) -> Result<Self, KeyError> {
        Self::joined(&self.0, segment.as_ref())
    }

    /// Where tools keep what was done by hand, beside the records: no path of segments has this text,
    /// so no application's key is in it.
    #[must_use]
    pub fn audit() -> Self {
        Self(Arc::from(AUDIT))
    }

    fn joined(parent: &str, segment: &str) -> Result<Self, KeyError> {
        check_text(segment, Self::MAX_SEGMENT)?;
        if let Some((at, _)) = segment.char_indices().find(|(_, c)| is_invisible(*c)) {
            return Err(KeyError::Invisible { at });
        }
        if parent.is_empty() && !segment.contains(ESCAPED) {
            return Ok(Self(Arc::from(segment)));
        }
        let mut text = String::with_capacity(parent.len() + segment.len() + 1);
        text.push_str(parent);
        if !text.is_empty() {
            text.push('/');
        }
        escape_into(&mut text, segment);
        if text.len() > Self::MAX_LEN {
            return Err(KeyError::TooLong {
                len: text.len(),
                max: Self::MAX_LEN,
            });
        }
        Ok(Self(Arc::from(text)))
    }

    /// Reads what [`as_str`](Self::as_str) wrote, and nothing else.
    fn from_text(text: &str) -> Result<Self, KeyError> {
        if text == AUDIT {
            return Ok(Self::audit());
        }
        let mut scope = Self::global();
        if !text.is_empty() {
            for segment in text.split('/') {
                scope = scope.child(unescaped(segment))?;
            }
        }
        match scope.as_str() == text {
            true => Ok(scope),
            false => Err(KeyError::NotEscaped),
        }
    }

    /// The path, escaped: it has no `:`, no `{` and no `}` in it, and is empty for the global scope.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record key of `key` in this scope.
    #[must_use]
    pub fn key(&self, key: &IdempotencyKey) -> RecordKey {
        RecordKey::join(self, key)
    }
}

/// The text of [`Scope::audit`]: a `%` that escapes nothing.
const AUDIT: &str = "%audit";

/// What a segment is escaped for; see [`escape_into`].
const ESCAPED: [char; 5] = ['%', '/', ':', '{', '}'];

fn escape_into(text: &mut String, segment: &str) {
    for c in segment.chars() {
        match c {
            '%' => text.push_str("%25"),
            '/' => text.push_str("%2F"),
            ':' => text.push_str("%3A"),
            '{' => text.push_str("%7B"),
            '}' => text.push_str("%7D"),
            c => text.push(c),
        }
    }
}

/// Undoes [`escape_into`]; what it would not write comes out as something else.
fn unescaped(segment: &str) -> String {
    let mut text = segment.to_owned();
    for c in ESCAPED.into_iter().rev() {
        let mut escape = String::new();
        escape_into(&mut escape, c.encode_utf8(&mut [0; 4]));
        text = text.replace(&escape, c.encode_utf8(&mut [0; 4]));
    }
    text
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?})", &*self.0)
    }
}

/// A key within its scope: what a store files a record under.
///
/// Its text is `scope:key`. A scope's text has no `:` in it, so the first one ends the scope and
/// no two pairs share a text (rule S8). Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    text: Arc<str>,
    scope_len: usize,
}

impl RecordKey {
    /// The key of a client in a scope of one segment, such as the verified caller.
    ///
    /// ```
    /// let key = idem_core::RecordKey::new("merchant-7", "order-4711")?;
    /// # Ok::<(), idem_core::error::KeyError>(())
    /// ```
    ///
    /// For a deeper scope use [`Scope::key`]; where there is one caller only, say
    /// `Scope::global().key(&key)`.
    ///
    /// # Errors
    /// [`KeyError`] when the scope is no segment (see [`Scope::new`]) or the key is no
    /// [`IdempotencyKey`].
    pub fn new(scope: impl AsRef<str>, key: impl AsRef<str>) -> Result<Self, KeyError> {
        Ok(Self::join(&Scope::new(scope)?, &IdempotencyKey::new(key)?))
    }

    fn join(scope: &Scope, key: &IdempotencyKey) -> Self {
        let (scope, key) = (scope.as_str(), key.as_str());
        let mut text = String::with_capacity(scope.len() + 1 + key.len());
        text.push_str(scope);
        text.push(':');
        text.push_str(key);
        Self {
            text: Arc::from(text),
            scope_len: scope.len(),
        }
    }

    /// Reads a text that [`as_str`](Self::as_str) wrote, for tools that list a store.
    ///
    /// # Errors
    /// [`KeyError`] when the key part is none, or there is no `:`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (scope, key) = text.split_once(':').ok_or(KeyError::Empty)?;
        Self::from_parts(scope, key)
    }

    /// Joins a scope's text, as [`scope`](Self::scope) wrote it, and a key: for stores that keep
    /// the two in columns of their own.
    ///
    /// # Errors
    /// [`KeyError`] when the key is no key, or the scope is a text that no [`Scope`] has.
    pub fn from_parts(scope: &str, key: &str) -> Result<Self, KeyError> {
        let key = IdempotencyKey::new(key)?;
        Ok(Self::join(&Scope::from_text(scope)?, &key))
    }

    /// The scope's text; see [`Scope::as_str`].
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.text[..self.scope_len]
    }

    /// The client's key. Do not log it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.text[self.scope_len + 1..]
    }

    /// `scope:key`, unique to this pair and free of control characters. Do not log it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RecordKey {
    /// The scope and the shortened key, for logs and error texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Printable(self.scope()), Shortened(self.key()))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(scope: &[&str], key: &str) -> RecordKey {
        let scope = scope
            .iter()
            .fold(Scope::global(), |s, part| s.child(part).unwrap());
        scope.key(&IdempotencyKey::new(key).unwrap())
    }

    #[test]
    fn s8_pairs_that_look_alike_do_not_collide() {
        let pairs = [
            pair(&["a:b"], "c"),
            pair(&["a"], "b:c"),
            pair(&["a", "b"], "c"),
            pair(&["a/b"], "c"),
            pair(&["a%2Fb"], "c"),
            pair(&[], "a/b:c"),
        ];
        for (i, a) in pairs.iter().enumerate() {
            for b in &pairs[i + 1..] {
                assert_ne!(a.as_str(), b.as_str());
            }
        }
    }

    #[test]
    fn parts_come_back_and_the_display_hides_the_key() {
        let key = pair(&["m:1"], "pay:{4711}*-and-more");
        assert_eq!((key.scope(), key.key()), ("m%3A1", "pay:{4711}*-and-more"));
        assert_eq!(RecordKey::parse(key.as_str()).unwrap(), key);
        assert!(!key.to_string().contains("4711"));
        assert!(RecordKey::from_parts("a:b", "k").is_err());
        for text in [
            "a{b", "a}b", "a%b", "a%2fb", "a%41", "/", "a/", "/a", "a//b", "a\nb",
        ] {
            assert!(RecordKey::from_parts(text, "k").is_err(), "{text}");
        }
        assert!(RecordKey::parse("no colon").is_err());
    }

    /// A scope is shown in logs and listings: nothing in it forges a line or the look of one.
    #[test]
    fn s8_a_scope_has_no_character_that_is_not_what_it_looks_like() {
        for bad in [
            "\n",
            "\u{1b}[2K",
            "\u{2028}",
            "\u{2029}",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{200d}",
            "\u{feff}",
            "\u{ad}",
            "\u{e0041}",
        ] {
            let text = format!("tenant{bad}");
            assert!(Scope::new(&text).is_err(), "{bad:?}");
            assert!(Scope::new("a").unwrap().child(&text).is_err(), "{bad:?}");
            assert!(RecordKey::from_parts(&text, "k").is_err(), "{bad:?}");
            assert!(RecordKey::parse(&format!("{text}:k")).is_err(), "{bad:?}");
        }
        assert!(Scope::new("müller & söhne ☕ 鍵").is_ok());
    }

    /// What is done by hand is kept where no application's key can be.
    #[test]
    fn s8_no_path_of_segments_is_the_scope_of_the_audit() {
        let audit = Scope::audit();
        for segment in ["%audit", "audit", "%25audit"] {
            assert_ne!(Scope::new(segment).unwrap(), audit, "{segment}");
        }
        let key = audit.key(&IdempotencyKey::new("k").unwrap());
        assert_eq!(RecordKey::from_parts(key.scope(), key.key()), Ok(key));
        assert!(RecordKey::from_parts("%audit/a", "k").is_err());
    }

    #[test]
    fn a_scope_has_a_longest_length() {
        let long = "/".repeat(255);
        let scope = Scope::new(&long).unwrap();
        assert!(matches!(scope.child(&long), Err(KeyError::TooLong { .. })));
        assert!(matches!(Scope::new(""), Err(KeyError::Empty)));
    }

    proptest! {
        #[test]
        fn s8_distinct_pairs_have_distinct_texts(
            a in (proptest::collection::vec("[a:/%{}*]{1,3}", 0..3), "[a:/%{}*]{1,3}"),
            b in (proptest::collection::vec("[a:/%{}*]{1,3}", 0..3), "[a:/%{}*]{1,3}"),
        ) {
            let build = |(scope, key): &(Vec<String>, String)| {
                pair(&scope.iter().map(String::as_str).collect::<Vec<_>>(), key)
            };
            prop_assert_eq!(build(&a).as_str() == build(&b).as_str(), a == b);
            let key = build(&a);
            prop_assert_eq!(RecordKey::from_parts(key.scope(), key.key()), Ok(key.clone()));
        }
    }
}
