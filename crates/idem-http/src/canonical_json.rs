//! [`CanonicalJson`]: the canonical form of a JSON body (RFC 8785), or a refusal.
//!
//! Parsers differ on what two members of one name, or a number beyond a double, mean. A canonical
//! form that picked one meaning could fold two amounts into one, so such a body is refused. What
//! is left is I-JSON (RFC 7493), on which parsers agree.

mod numbers;
pub(crate) mod unique;

use serde::Deserialize;
use serde_json::Value;

use unique::Unique;

/// Makes the canonical form of a JSON body.
///
/// ```
/// use idem_http::CanonicalJson;
///
/// let json = CanonicalJson::default().ignoring("/sent_at");
/// let body = br#"{ "sent_at": 17, "currency": "usd", "amount": 5e2 }"#;
/// assert_eq!(json.canonical(body)?, br#"{"amount":500,"currency":"usd"}"#);
/// assert!(json.canonical(br#"{"amount":1,"amount":100}"#).is_err());
/// # Ok::<(), idem_http::NotCanonical>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanonicalJson {
    ignored: Vec<String>,
}

impl CanonicalJson {
    /// Leaves out the value at this JSON Pointer (RFC 6901), where there is one: for members that
    /// change with each repeat, such as a time of sending. It must be the member of an object.
    #[must_use]
    pub fn ignoring(mut self, pointer: impl Into<String>) -> Self {
        self.ignored.push(pointer.into());
        self
    }

    /// The canonical form.
    ///
    /// # Errors
    /// [`NotCanonical`] for what is no JSON, for a member that is there twice, and for a number
    /// that a double does not hold as it is written. Never panics.
    pub fn canonical(&self, body: &[u8]) -> Result<Vec<u8>, NotCanonical> {
        let Unique(mut value) = parse(body)?;
        numbers::check(body)?;
        for pointer in &self.ignored {
            remove(&mut value, pointer);
        }
        serde_json_canonicalizer::to_vec(&value).map_err(NotCanonical::NotJson)
    }
}

fn parse(body: &[u8]) -> Result<Unique, NotCanonical> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = Unique::deserialize(&mut json).map_err(NotCanonical::NotJson)?;
    json.end().map_err(NotCanonical::NotJson)?;
    Ok(value)
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.remove(&last.replace("~1", "/").replace("~0", "~"));
    }
}

/// Why a body has no canonical form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCanonical {
    /// It is no JSON, is nested too deeply, or has a member twice.
    #[error("it is not JSON with each member once: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A number would change on its way through a double (RFC 7493, §2.2), at this byte.
    #[error("the number at byte {at} is beyond what JSON parsers agree on; send it as a string")]
    Number {
        /// Where the number starts.
        at: usize,
    },
}

#[cfg(test)]
mod tests;
