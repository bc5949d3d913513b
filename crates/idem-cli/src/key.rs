//! Keys as they are printed, and read back.

/// A key without anything that a terminal would obey. [`parse`] gives the key back.
pub(crate) fn shown(key: &str) -> String {
    // What looks like an escape already is escaped, so that it is not taken for one.
    crate::output::printable(&key.replace("\\u{", "\\u{5c}u{"))
}

/// A key as it was printed: `\u{202e}` is the character of that number.
pub(crate) fn parse(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u{") {
        let (before, escape) = rest.split_at(at);
        key.push_str(before);
        let number = escape.split_once('}').map(|(digits, _)| &digits[3..]);
        let character = number
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .and_then(char::from_u32);
        match (character, number) {
            (Some(character), Some(digits)) => {
                key.push(character);
                rest = &escape[3 + digits.len() + 1..];
            }
            _ => {
                key.push_str("\\u{");
                rest = &escape[3..];
            }
        }
    }
    key + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_a_key_that_was_printed_is_read_back() {
        for key in [
            "shop:order-1",
            "shop:\u{202e}evil\u{1b}[2K",
            "shop:\\u{202e}",
            "\\u{5c}u{",
            "a\\u{",
            "\\\\u{41}",
            "müller\u{200b}",
        ] {
            assert_eq!(parse(&shown(key)), key, "{}", shown(key));
            assert!(!shown(key).contains('\u{202e}'));
        }
        assert_eq!(parse("\\u{zz}\\u{41"), "\\u{zz}\\u{41");
    }
}
