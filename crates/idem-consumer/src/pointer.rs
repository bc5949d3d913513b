//! One value of a JSON body, found without building the rest of it in memory.

use std::fmt;

use idem_core::{IdempotencyKey, error::KeyError};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON Pointer (RFC 6901) below the root.
#[derive(Debug)]
pub(crate) struct Pointer {
    text: String,
    steps: Vec<String>,
}

/// A text that is no JSON Pointer to a part of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no JSON Pointer to a part of the body; write it as `/order/id`")]
pub struct PointerError(String);

/// What is at the end of a pointer.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    Nothing,
    /// A member on the way has its name twice: parsers differ in which of them they take.
    Several,
    Key(Result<IdempotencyKey, KeyError>),
    /// Neither a string nor an integer.
    Other(&'static str),
}

impl Pointer {
    pub(crate) fn parse(text: &str) -> Result<Self, PointerError> {
        let error = || PointerError(text.to_owned());
        let path = text.strip_prefix('/').ok_or_else(error)?;
        let steps = path.split('/').map(unescape).collect::<Option<_>>();
        Ok(Self {
            text: text.to_owned(),
            steps: steps.ok_or_else(error)?,
        })
    }

    pub(crate) fn find(&self, body: &[u8]) -> Result<Found, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let found = Walk(&self.steps).deserialize(&mut json)?;
        json.end()?;
        Ok(found)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `~1` is a slash, `~0` a tilde, and no other tilde is allowed.
fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(1)?;
        text.push(match escaped {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}

/// Follows the steps that are left.
struct Walk<'p>(&'p [String]);

impl Walk<'_> {
    /// A value that has no parts: the key if the way ends here.
    fn leaf(&self, found: impl FnOnce() -> Found) -> Found {
        match self.0 {
            [] => found(),
            _ => Found::Nothing,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Found, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((step, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Other("an object"));
        };
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(step))? {
            if !is_it {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let here = map.next_value_seed(Walk(rest))?;
            found = Some(match found {
                None => here,
                Some(_) => Found::Several,
            });
        }
        Ok(found.unwrap_or(Found::Nothing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let Some((step, rest)) = self.0.split_first() else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Found::Other("an array"));
        };
        let is_index = step == "0" || (!step.starts_with('0') && !step.starts_with('+'));
        let index: Option<usize> = step.parse().ok().filter(|_| is_index);
        let mut found = Found::Nothing;
        for at in 0.. {
            if Some(at) == index {
                match seq.next_element_seed(Walk(rest))? {
                    Some(here) => found = here,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(self.leaf(|| Found::Key(IdempotencyKey::new(text))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Found, E> {
        Ok(self.leaf(|| Found::Key(IdempotencyKey::new(number.to_string()))))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Found, E> {
        Ok(self.leaf(|| Found::Key(IdempotencyKey::new(number.to_string()))))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(self.leaf(|| Found::Other("another number")))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(self.leaf(|| Found::Other("a boolean")))
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(self.leaf(|| Found::Other("null")))
    }
}

/// Whether a member has this name.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, body: &str) -> Found {
        Pointer::parse(pointer)
            .unwrap()
            .find(body.as_bytes())
            .unwrap()
    }

    fn key(text: &str) -> Found {
        Found::Key(IdempotencyKey::new(text))
    }

    #[test]
    fn a_pointer_finds_strings_and_integers() {
        let body = r#"{"order":{"id":"o-1","a/b":["x",{"~":-7}]},"n":18446744073709551615}"#;
        assert_eq!(find("/order/id", body), key("o-1"));
        assert_eq!(find("/order/a~1b/1/~0", body), key("-7"));
        assert_eq!(find("/n", body), key("18446744073709551615"));
        for nothing in ["/nobody", "/order/id/x", "/order/a~1b/2", "/order/a~1b/00"] {
            assert_eq!(find(nothing, body), Found::Nothing, "{nothing}");
        }
    }

    /// Two services that read the same body must not see two keys in it.
    #[test]
    fn a_member_that_comes_twice_on_the_way_is_no_key() {
        assert_eq!(find("/id", r#"{"id":"a","x":1,"id":"a"}"#), Found::Several);
        assert_eq!(find("/o/id", r#"{"o":{},"o":{"id":1}}"#), Found::Several);
        assert_eq!(find("/id", r#"{"x":1,"x":2,"id":"a"}"#), key("a"));
    }

    #[test]
    fn other_values_are_no_key() {
        for (body, found) in [
            (r#"{"id":1.5}"#, "another number"),
            (r#"{"id":18446744073709551616}"#, "another number"),
            (r#"{"id":null}"#, "null"),
            (r#"{"id":true}"#, "a boolean"),
            (r#"{"id":{"a":1}}"#, "an object"),
            (r#"{"id":["a"]}"#, "an array"),
        ] {
            assert_eq!(find("/id", body), Found::Other(found), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_to_its_end_is_an_error() {
        let pointer = Pointer::parse("/id").unwrap();
        for body in ["", "id=1", r#"{"id":"a"} x"#, r#"{"id":"a""#] {
            assert!(pointer.find(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_pointer_begins_with_a_slash_and_escapes_tildes() {
        for text in ["", "id", "/a~", "/a~2"] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }
}
