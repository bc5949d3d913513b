//! How a client's key may appear in a log: recognisable, never whole.

use std::fmt;

use crate::key::is_invisible;

/// Shows the first quarter of a text (at most four characters) and six hex digits of its hash.
///
/// The hash lets an operator find all lines about one key; the key itself, which is as good as a
/// password to its stored answer, cannot be read off. Control characters never get through, so a
/// key cannot forge a log line.
pub(crate) struct Shortened<'a>(pub(crate) &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (self.0.chars().count() / 4).min(4);
        for c in self.0.chars().take(shown) {
            write!(f, "{}", c.escape_debug())?;
        }
        let hash = blake3::hash(self.0.as_bytes()).to_hex();
        write!(f, "…#{}", &hash[..6])
    }
}

/// Shows a text as it is, but for characters that forge a line or the look of one.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() || is_invisible(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Printable, Shortened};

    #[test]
    fn s8_nothing_that_is_shown_forges_a_line_or_its_look() {
        let forged = "a\u{1b}[2K\u{202e}b\u{2028}c\u{200b}";
        let shown = Printable(forged).to_string();
        assert_eq!(shown, "a\\u{1b}[2K\\u{202e}b\\u{2028}c\\u{200b}");
        assert_eq!(Printable("müller/☕").to_string(), "müller/☕");
        let key = "\u{202e}\u{2028}\u{1b}\u{200b}".repeat(4);
        let shown = Shortened(&key).to_string();
        assert!(shown.chars().all(|c| c.is_ascii() || c == '…'), "{shown}");
    }

    #[test]
    fn a_log_line_never_holds_the_whole_key() {
        let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        let shown = Shortened(key).to_string();
        assert!(shown.starts_with("8e03…#"), "{shown}");
        assert_eq!(shown.chars().count(), 4 + 2 + 6);
        assert_eq!(Shortened("abc").to_string().chars().next(), Some('…'));
    }

    #[test]
    fn distinct_keys_with_one_prefix_are_told_apart() {
        assert_ne!(
            Shortened("order-1").to_string(),
            Shortened("order-2").to_string()
        );
    }
}
