//! What a record is called on the server.

use idem_core::{RecordKey, store::StoreError};

/// Names records: a prefix, then the record key as it is.
///
/// ```text
/// idem:merchant-7:order-4711        the scope `merchant-7`, the key `order-4711`
/// idem:{}merchant-7:{x}order        a key with a brace in it
/// ```
///
/// In a Cluster the first `{…}` of a name decides on which node it lies, unless it is empty. An
/// empty one in front of a key that has braces keeps a client from choosing the node. A scope has
/// no braces in it, so the two forms cannot be mistaken for each other, and no two record keys share
/// a name (rule S8).
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
    prefix_has_tag: bool,
}

const EMPTY_TAG: &str = "{}";

impl Names {
    pub(crate) fn new(prefix: &str) -> Result<Self, StoreError> {
        let prefix_has_tag = has_tag(prefix);
        if prefix.chars().any(char::is_control) {
            return Err(StoreError::config(
                "the key prefix has a control character in it; take it out",
            ));
        }
        if prefix.contains('{') && !prefix_has_tag {
            return Err(StoreError::config(
                "the key prefix has a `{` that opens no `{tag}`; close it or take it out",
            ));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            prefix_has_tag,
        })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of a record.
    pub(crate) fn name(&self, key: &RecordKey) -> String {
        let text = key.as_str();
        let tag = match !self.prefix_has_tag && text.contains('{') {
            true => EMPTY_TAG,
            false => "",
        };
        let mut name = String::with_capacity(self.prefix.len() + tag.len() + text.len());
        name.push_str(&self.prefix);
        name.push_str(tag);
        name.push_str(text);
        name
    }

    /// The record key that has this name; none if it is nobody's name.
    pub(crate) fn parse(&self, name: &str) -> Option<RecordKey> {
        let text = name.strip_prefix(&self.prefix)?;
        let key = RecordKey::parse(text.strip_prefix(EMPTY_TAG).unwrap_or(text)).ok()?;
        (self.name(&key) == name).then_some(key)
    }

    /// The pattern that every name fits, as `SCAN` takes it.
    pub(crate) fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.prefix.len() + 1);
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('*');
        pattern
    }
}

/// Whether the text's first `{` opens a tag that is closed and not empty: what a Cluster looks for.
fn has_tag(text: &str) -> bool {
    text.split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .is_some_and(|(tag, _)| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use idem_core::{IdempotencyKey, Scope};
    use redis::cluster_routing::Slot;

    use super::*;

    fn key(scope: &str, key: &str) -> RecordKey {
        Scope::new(scope)
            .unwrap()
            .key(&IdempotencyKey::new(key).unwrap())
    }

    #[test]
    fn s8_names_are_readable_and_lead_back_to_their_key() {
        let names = Names::new("idem:").unwrap();
        assert_eq!(names.name(&key("m", "order-1")), "idem:m:order-1");
        for key in [
            key("m", "order-1"),
            key("m", "{x}order"),
            key("m", "{}order"),
            key("m:1", "a:b {"),
            key("{m}", "}{"),
        ] {
            assert_eq!(names.parse(&names.name(&key)), Some(key));
        }
        assert_eq!(names.parse("other:m:order-1"), None);
        assert_eq!(names.parse("idem:{}m:order-1"), None);
        assert_eq!(names.parse("idem:no-colon"), None);
    }

    #[test]
    fn s8_a_client_cannot_choose_the_slot() {
        let names = Names::new("idem:").unwrap();
        let slots: std::collections::HashSet<_> = (0..50)
            .map(|n| Slot::for_key(names.name(&key("m", &format!("{{tag}}{n}")))))
            .collect();
        assert!(slots.len() > 40);
    }

    #[test]
    fn a_prefix_may_pin_all_records_to_one_slot() {
        let names = Names::new("{idem}:").unwrap();
        let slot = Slot::for_key("idem");
        for name in ["a", "{b}c"] {
            assert_eq!(Slot::for_key(names.name(&key("m", name))), slot);
        }
    }

    #[test]
    fn a_prefix_with_half_a_tag_is_refused() {
        assert!(Names::new("a{b").is_err());
        assert!(Names::new("a{}b").is_err());
        assert!(Names::new("a\nb").is_err());
        assert!(Names::new("").is_ok());
        assert!(Names::new("a}b").is_ok());
    }

    #[test]
    fn s8_a_prefix_is_no_pattern() {
        assert_eq!(Names::new("a*[b]?").unwrap().pattern(), r"a\*\[b\]\?*");
    }
}
