//! [`CanonicalJson`]: the canonical form of a JSON body (RFC 8785), or a refusal.
//!
//! Parsers differ on what two members of one name, or a number beyond a double, mean. A canonical
//! form that picked one meaning could fold two amounts into one, so such a body is refused. What
//! is left is I-JSON (RFC 7493), on which parsers agree.

mod numbers;
pub(crate) mod unique;

use serde::Deserialize;
use serde_json::Value;

use crate::canonical::NotCanonical;
use unique::Unique;

/// Makes the canonical form of a JSON body.
///
/// ```
/// use idem_http::CanonicalJson;
///
/// let json = CanonicalJson::default().ignoring("/sent_at").expect("this is a JSON Pointer");
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
    /// Leaves out the value at this JSON Pointer (RFC 6901) from bodies that have one there: for
    /// values that change with each repeat, such as a time of sending. `/meta/sent_at` is the member
    /// `sent_at` of the member `meta`, `/items/0` the first element of the array `items`.
    ///
    /// # Errors
    /// [`InvalidPointer`] for text that is not a JSON Pointer, such as `sent_at` without the slash,
    /// and for the empty pointer, which is the whole body.
    ///
    /// ```
    /// use idem_http::CanonicalJson;
    ///
    /// assert!(CanonicalJson::default().ignoring("/sent_at").is_ok());
    /// assert!(CanonicalJson::default().ignoring("sent_at").is_err());
    /// ```
    pub fn ignoring(mut self, pointer: impl Into<String>) -> Result<Self, InvalidPointer> {
        let pointer = pointer.into();
        match pointer_fault(&pointer) {
            Some(why) => Err(InvalidPointer { pointer, why }),
            None => {
                self.ignored.push(pointer);
                Ok(self)
            }
        }
    }

    /// The canonical form.
    ///
    /// # Errors
    /// [`NotCanonical`] for a body that is not JSON, that repeats a member, or that has a number
    /// which a double does not hold as it is written. Never panics.
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
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(elements)) => {
            // RFC 6901, §4: an index has no leading zero and no sign.
            let index = last
                .parse()
                .ok()
                .filter(|index: &usize| index.to_string() == last);
            if let Some(index) = index.filter(|index| *index < elements.len()) {
                elements.remove(index);
            }
        }
        _ => {}
    }
}

/// What keeps a text from being a JSON Pointer to a part of a value (RFC 6901, §3).
fn pointer_fault(pointer: &str) -> Option<&'static str> {
    if pointer.is_empty() {
        return Some("it is empty");
    }
    if !pointer.starts_with('/') {
        return Some("it does not start with `/`");
    }
    let mut escapes = pointer.split('~').skip(1);
    let well_formed = escapes.all(|rest| rest.starts_with(['0', '1']));
    (!well_formed).then_some("`~` is written `~0` in a JSON Pointer, and `/` inside a name `~1`")
}

/// Why a JSON Pointer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pointer}` is not a JSON Pointer to a part of a value: {why}")]
pub struct InvalidPointer {
    pointer: String,
    why: &'static str,
}

#[cfg(test)]
mod tests;
