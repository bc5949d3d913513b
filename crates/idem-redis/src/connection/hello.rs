//! [`Hello`]: what a server says of itself, in the one command that every user may send.

use std::collections::HashMap;

use redis::{Value, from_redis_value};

/// The reply to `HELLO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// `redis`, `valkey`, …
    pub(crate) server: String,
    /// Major and minor version.
    pub(crate) version: (u32, u32),
    /// Whether it is a primary.
    pub(crate) is_primary: bool,
    /// Whether it is a node of a Cluster.
    pub(crate) is_cluster: bool,
}

impl Hello {
    /// Reads the reply, in either version of the protocol.
    pub(crate) fn parse(reply: Value) -> Option<Self> {
        let mut fields: HashMap<String, Value> = from_redis_value(reply).ok()?;
        let mut text = |field: &str| from_redis_value::<String>(fields.remove(field)?).ok();
        Some(Self {
            server: text("server")?,
            version: version(&text("version")?)?,
            is_primary: text("role")? == "master",
            is_cluster: text("mode").is_some_and(|mode| mode == "cluster"),
        })
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(version: &str) -> Vec<(Value, Value)> {
        let text = |text: &str| Value::BulkString(text.into());
        vec![
            (text("server"), text("redis")),
            (text("version"), text(version)),
            (text("proto"), Value::Int(2)),
            (text("mode"), text("cluster")),
            (text("role"), text("replica")),
            (text("modules"), Value::Array(vec![])),
        ]
    }

    #[test]
    fn both_versions_of_the_protocol_are_read() {
        let hello = Hello::parse(Value::Map(reply("7.0.15"))).unwrap();
        assert_eq!(hello.version, (7, 0));
        assert!(!hello.is_primary && hello.is_cluster);
        let flat = reply("7.0.15").into_iter().flat_map(|(k, v)| [k, v]);
        assert_eq!(Hello::parse(Value::Array(flat.collect())), Some(hello));
    }

    #[test]
    fn what_is_no_reply_to_it_is_nothing() {
        assert_eq!(Hello::parse(Value::Nil), None);
        assert_eq!(Hello::parse(Value::Map(reply("unknown"))), None);
    }
}
