//! [`KeyHeader`]: where a request carries its key, and how it is read.

use http::{HeaderMap, HeaderName, HeaderValue};
use idem_core::{IdempotencyKey, KeyError};
use sfv::{
    BareItemFromInput, Parser,
    visitor::{Ignored, ItemVisitor, ParameterVisitor, parameter_visitor_with},
};

/// `Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header-07, §2.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Which spellings of a key are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One Item of RFC 9651 that is a String: `"8e03978e-40d5-43dd-bc93-6894a57f9324"`, with `\"`
    /// and `\\` as its only escapes. Spaces around it and parameters after it are ignored.
    Strict,
    /// The strict form, and a bare key as most clients send it: 1 to 255 visible ASCII characters
    /// without `"`, `,`, `;` and `\`. `K` and `"K"` are one key.
    Lenient,
}

/// The header that carries the key, and the [`Form`] it is taken in.
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
    /// The spellings that are taken.
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
    /// The key that a request carries, `None` if it carries none.
    ///
    /// # Errors
    /// [`Malformed`] for anything but exactly one well-formed key on exactly one line. A client
    /// that sent something wanted protection, so this is an error even where a key is optional.
    pub fn read(&self, headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Malformed> {
        let mut lines = headers.get_all(&self.name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Ok(None),
            (Some(line), None) => parse(line.as_bytes(), self.form).map(Some),
            (Some(_), Some(_)) => Err(Malformed::SeveralLines),
        }
    }

    /// The header's value for a key, in the strict form that every server of the draft reads.
    ///
    /// # Errors
    /// [`Malformed::Characters`] for a key with characters outside of ASCII.
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

/// Reads one field value.
///
/// # Errors
/// [`Malformed`]; never panics, whatever the bytes.
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

/// What a bare key is made of, and most quoted ones as well.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// Takes the String out of a structured field's Item and skips its parameters.
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

/// Why a request's header is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// More than one field line.
    #[error("it was sent on several lines; send one key on one line")]
    SeveralLines,
    /// Where only the strict form is taken.
    #[error("it is not in double quotes; send it as \"KEY\"")]
    NotQuoted,
    /// An opening quote, and then no String of RFC 9651.
    #[error(
        "it is not one string of RFC 9651; send \"KEY\", with \\\" and \\\\ as the only escapes"
    )]
    Quoted,
    /// A bare key with characters that it may not have.
    #[error(
        "it has characters outside of visible ASCII, or one of \" , ; \\; send it in double quotes"
    )]
    Characters,
    /// Well-formed, but no key.
    #[error(transparent)]
    Key(KeyError),
}

#[cfg(test)]
mod tests;
