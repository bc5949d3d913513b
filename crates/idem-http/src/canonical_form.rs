//! [`CanonicalForm`]: the canonical form of an `application/x-www-form-urlencoded` body.

use std::fmt::Write as _;

use crate::canonical::NotCanonical;

/// Makes the canonical form of an `application/x-www-form-urlencoded` body: one spelling for each
/// character.
///
/// A space can be `+` or `%20`, any character can be percent-encoded, and hexadecimal digits have
/// two cases. Clients differ in these, parsers do not. The canonical form encodes everything but
/// letters, digits and `-._~` as `%XX`, and drops empty fields such as `&&`.
///
/// Everything that parsers treat differently counts: the order of fields (Rails and PHP build lists
/// by it), repeated names, and whether a name has `=` behind it. A `%` without two hexadecimal
/// digits and an unescaped `;` are refused.
///
/// ```
/// use idem_http::CanonicalForm;
///
/// let form = CanonicalForm::default().ignoring("sent_at");
/// let body = b"amount=500&sent_at=17&description=two%20caf%c3%a9+au+lait";
/// assert_eq!(form.canonical(body)?, b"amount=500&description=two%20caf%C3%A9%20au%20lait");
/// assert!(form.canonical(b"discount=100%").is_err());
/// # Ok::<(), idem_http::NotCanonical>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanonicalForm {
    ignored: Vec<String>,
}

impl CanonicalForm {
    /// Leaves out all fields with this name, after decoding: for fields that change with each
    /// repeat, such as a time of sending. Nested names are written as they are sent:
    /// `metadata[sent_at]`.
    #[must_use]
    pub fn ignoring(mut self, name: impl Into<String>) -> Self {
        self.ignored.push(name.into());
        self
    }

    /// The canonical form of a body. It is a form again, with the same fields.
    ///
    /// # Errors
    /// [`NotCanonical::Form`] for a `%` without two hexadecimal digits, and for an unescaped `;`.
    /// Never panics.
    pub fn canonical(&self, body: &[u8]) -> Result<Vec<u8>, NotCanonical> {
        let mut canonical = String::with_capacity(body.len());
        let mut at = 0;
        for field in body.split(|byte| *byte == b'&') {
            if !field.is_empty() {
                self.append(&mut canonical, field, at)?;
            }
            at += field.len() + 1;
        }
        Ok(canonical.into_bytes())
    }

    fn append(&self, to: &mut String, field: &[u8], at: usize) -> Result<(), NotCanonical> {
        let equals = field.iter().position(|byte| *byte == b'=');
        let name = decode(&field[..equals.unwrap_or(field.len())], at)?;
        let value = match equals {
            Some(equals) => Some(decode(&field[equals + 1..], at + equals + 1)?),
            None => None,
        };
        if self
            .ignored
            .iter()
            .any(|ignored| ignored.as_bytes() == name)
        {
            return Ok(());
        }
        if !to.is_empty() {
            to.push('&');
        }
        encode(to, &name);
        if let Some(value) = value {
            to.push('=');
            encode(to, &value);
        }
        Ok(())
    }
}

/// Decodes a name or a value that starts at byte `at` of the body.
fn decode(mut text: &[u8], mut at: usize) -> Result<Vec<u8>, NotCanonical> {
    let mut decoded = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        let len = match byte {
            b'%' => {
                let escaped = rest.first_chunk().and_then(|[high, low]| {
                    let [high, low] = [*high, *low].map(|digit| char::from(digit).to_digit(16));
                    u8::try_from(high? * 16 + low?).ok()
                });
                decoded.push(escaped.ok_or(NotCanonical::Form { at })?);
                3
            }
            b';' => return Err(NotCanonical::Form { at }),
            b'+' => {
                decoded.push(b' ');
                1
            }
            _ => {
                decoded.push(byte);
                1
            }
        };
        text = &text[len..];
        at += len;
    }
    Ok(decoded)
}

fn encode(to: &mut String, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            to.push(char::from(*byte));
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(body: &str) -> Result<String, NotCanonical> {
        let canonical = CanonicalForm::default().canonical(body.as_bytes())?;
        Ok(String::from_utf8(canonical).unwrap())
    }

    #[test]
    fn spellings_of_one_character_are_one() {
        for body in ["a+b=%c3%A9", "a%20b=%C3%a9", "%61%20b=é", "&a+b=%C3%A9&&"] {
            assert_eq!(canonical(body).unwrap(), "a%20b=%C3%A9", "{body}");
        }
    }

    #[test]
    fn g4_what_parsers_treat_differently_differs() {
        let distinct = [
            "a=1&b=2", "b=2&a=1", "a=1&a=2", "a=2&a=1", "a", "a=", "a=1&b", "a=%2B", "a=+", "a==1",
            "a%3D=1", "a%26b=1", "a&b=1", "a[]=1", "a=1%262", "",
        ];
        for (at, one) in distinct.iter().enumerate() {
            for other in &distinct[at + 1..] {
                assert_ne!(
                    canonical(one).unwrap(),
                    canonical(other).unwrap(),
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_encoded_properly_is_refused_by_its_place() {
        for (body, place) in [
            ("a=1&b=%", 6),
            ("%4", 0),
            ("a=%zz", 2),
            ("a=%+1", 2),
            ("a;b", 1),
        ] {
            let refused = canonical(body).unwrap_err();
            assert!(
                matches!(refused, NotCanonical::Form { at } if at == place),
                "{body}"
            );
        }
    }

    #[test]
    fn ignored_fields_do_not_count() {
        let form = CanonicalForm::default().ignoring("meta[sent at]");
        let canonical = form
            .canonical(b"meta[sent+at]=1&a=2&meta%5Bsent%20at%5D=3")
            .unwrap();
        assert_eq!(canonical, b"a=2");
    }

    fn any_form() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
        let text = "[a-b=&%+;é \\[\\]]{0,4}";
        prop::collection::vec((text, prop::option::of(text)), 0..5)
    }

    /// Writes fields as a client may: every character encoded, or as few as can be.
    fn written(fields: &[(String, Option<String>)], all: bool) -> String {
        let spell = |text: &String| {
            text.bytes().fold(String::new(), |mut spelled, byte| {
                if all || !byte.is_ascii_alphanumeric() {
                    let _ = write!(spelled, "%{byte:02x}");
                } else {
                    spelled.push(char::from(byte));
                }
                spelled
            })
        };
        let field = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{}={}", spell(name), spell(value)),
            None => spell(name),
        };
        fields.iter().map(field).collect::<Vec<_>>().join("&")
    }

    /// A field without a name and a value leaves no trace in a form.
    fn is_there(field: &(String, Option<String>)) -> bool {
        !field.0.is_empty() || field.1.is_some()
    }

    proptest! {
        #[test]
        fn g4_different_fields_have_different_forms(one in any_form(), other in any_form()) {
            let of = |fields: &[(String, Option<String>)]| canonical(&written(fields, false)).unwrap();
            let there = |fields: &[(String, Option<String>)]| {
                fields.iter().filter(|field| is_there(field)).cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(there(&one) == there(&other), of(&one) == of(&other));
        }

        #[test]
        fn the_form_is_canonical(fields in any_form()) {
            let form = canonical(&written(&fields, false)).unwrap();
            prop_assert_eq!(&canonical(&written(&fields, true)).unwrap(), &form);
            prop_assert_eq!(&canonical(&form).unwrap(), &form);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = CanonicalForm::default().canonical(&bytes);
        }
    }
}
