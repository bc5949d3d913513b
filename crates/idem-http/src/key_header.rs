//! [`KeyHeader`]: reads the idempotency key of a request from its header.

use http::{HeaderMap, HeaderName, HeaderValue};
use idem_core::{IdempotencyKey, error::KeyError};
use sfv::{
    BareItemFromInput, Parser,
    visitor::{Ignored, ItemVisitor, ParameterVisitor, parameter_visitor_with},
};

/// `Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header-07, §2.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Which spellings of a key are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A String of RFC 9651, in double quotes: `"8e03978e-40d5-43dd-bc93-6894a57f9324"`. `\"` and
    /// `\\` are its only escapes. Spaces around it and parameters after it are ignored.
    Strict,
    /// The strict form, or a key without quotes, as most clients send it: 1 to 255 visible ASCII
    /// characters except `"`, `,`, `;` and `\`. `K` and `"K"` are the same key.
    Lenient,
}

/// The name of the header that carries the key, and the [`Form`] in which a key is accepted.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use idem_http::{IDEMPOTENCY_KEY, KeyHeader};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(r#""order-4711""#));
/// let key = KeyHeader::default().read(&headers)?.expect("it was sent");
/// assert_eq!(key.as_str(), "order-4711");
/// # Ok::<(), idem_http::Malformed>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHeader {
    /// The header's name; some APIs call it `X-Idempotency-Key` or `PayPal-Request-Id`.
    pub name: HeaderName,
    /// The spellings that are accepted.
    pub form: Form,
}

impl Default for KeyHeader {
    /// `Idempotency-Key`, lenient.
    fn default() -> Self {
        Self {
            name: IDEMPOTENCY_KEY,
            form: Form::Lenient,
        }
    }
}

impl KeyHeader {
    /// The key of a request, or `None` without the header.
    ///
    /// # Errors
    /// [`Malformed`] unless there is exactly one well-formed key on exactly one line. A client that
    /// sends the header wants protection, so this is an error even where a key is optional.
    pub fn read(&self, headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Malformed> {
        let mut lines = headers.get_all(&self.name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(line), None) => parse(line.as_bytes(), self.form).map(Some),
            (Some(_), Some(_)) => Err(Malformed::SeveralLines),
        }
    }

    /// The header's value for a key, in the strict form, which every server that follows the draft
    /// reads.
    ///
    /// # Errors
    /// [`Malformed::Characters`] for a key with characters outside of ASCII.
    ///
    /// ```
    /// use idem_core::IdempotencyKey;
    /// use idem_http::KeyHeader;
    ///
    /// let key = IdempotencyKey::new("order-4711").expect("1 to 255 bytes");
    /// assert_eq!(KeyHeader::write(&key)?, r#""order-4711""#);
    /// # Ok::<(), idem_http::Malformed>(())
    /// ```
    pub fn write(key: &IdempotencyKey) -> Result<HeaderValue, Malformed> {
        let mut value = Vec::with_capacity(key.as_str().len() + 2);
        value.push(b'"');
        for byte in key.as_str().bytes() {
            match byte {
                b'"' | b'\\' => value.extend([b'\\', byte]),
                b' '..=b'~' => value.push(byte),
                _ => return Err(Malformed::Characters),
            }
        }
        value.push(b'"');
        HeaderValue::from_bytes(&value).map_err(|_| Malformed::Characters)
    }
}

/// Reads a key from one field value, given as bytes. [`KeyHeader::read`] does it for a whole request.
///
/// # Errors
/// [`Malformed`] unless the value is one key in this form. Never panics.
///
/// ```
/// use idem_http::{Form, parse_key};
///
/// assert_eq!(parse_key(b"order-4711", Form::Lenient)?.as_str(), "order-4711");
/// assert!(parse_key(b"order-4711", Form::Strict).is_err());
/// # Ok::<(), idem_http::Malformed>(())
/// ```
pub fn parse(value: &[u8], form: Form) -> Result<IdempotencyKey, Malformed> {
    let value = trim_spaces(value);
    match (value.first(), form) {
        (None, _) => Err(Malformed::Key(KeyError::Empty)),
        (Some(b'"'), _) => quoted(value),
        (Some(_), Form::Lenient) => bare(value),
        (Some(_), Form::Strict) => Err(Malformed::NotQuoted),
    }
}

/// Only SP: RFC 9651, §4.2. A tab in a value is malformed.
fn trim_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

fn quoted(value: &[u8]) -> Result<IdempotencyKey, Malformed> {
    if let [b'"', key @ .., b'"'] = value
        && key.iter().all(|byte| is_plain(*byte))
        && let Ok(key) = std::str::from_utf8(key)
    {
        return IdempotencyKey::new(key).map_err(Malformed::Key);
    }
    Parser::new(value)
        .parse_item_with_visitor(KeyVisitor)
        .map_err(|_| Malformed::Quoted)?
        .map_err(Malformed::Key)
}

fn bare(value: &[u8]) -> Result<IdempotencyKey, Malformed> {
    let key = std::str::from_utf8(value).map_err(|_| Malformed::Characters)?;
    if key.bytes().all(is_plain) {
        IdempotencyKey::new(key).map_err(Malformed::Key)
    } else {
        Err(Malformed::Characters)
    }
}

/// The characters of a bare key. Most quoted keys have no others.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// Reads the String of a structured field's Item and skips its parameters.
struct KeyVisitor;

impl<'de> ItemVisitor<'de> for KeyVisitor {
    type Out = Result<IdempotencyKey, KeyError>;
    type Error = std::convert::Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = Self::Out>, Self::Error> {
        let key = match item {
            BareItemFromInput::String(key) => IdempotencyKey::new(key.as_str()),
            _ => Err(KeyError::Empty),
        };
        Ok(parameter_visitor_with(Ignored, |()| Ok(key)))
    }
}

/// Why a header was not read as a key. The request is answered with 400 and does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// More than one field line.
    #[error("it was sent on several lines; send one key on one line")]
    SeveralLines,
    /// A key without quotes where only [`Form::Strict`] is accepted.
    #[error("it is not in double quotes; send it as \"KEY\"")]
    NotQuoted,
    /// The value starts with a quote and is not a String of RFC 9651.
    #[error(
        "it is not one string of RFC 9651; send \"KEY\", with \\\" and \\\\ as the only escapes"
    )]
    Quoted,
    /// A bare key with a character that is not allowed without quotes.
    #[error(
        "it has characters outside of visible ASCII, or one of \" , ; \\; send it in double quotes"
    )]
    Characters,
    /// Empty, or longer than 255 characters.
    #[error(transparent)]
    Key(KeyError),
}

#[cfg(test)]
mod tests;
