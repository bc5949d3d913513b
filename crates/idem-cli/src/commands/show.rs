//! `idem show`

use idem_console::operate::{Payload, payload_of};
use idem_core::{
    RecordKey,
    store::{State, Stored},
};
use serde_json::Value;

use crate::{
    audit::{self, Entry, Trail},
    cli::ShowArgs,
    commands,
    failure::Failure,
    key,
    output::{BOLD, Output, printable},
    place::Opened,
    record::{self, Standing},
    words,
};

pub(crate) async fn run(opened: &Opened, args: &ShowArgs, output: &Output) -> Result<(), Failure> {
    let key = commands::key_of(&args.key)?;
    let store = &*opened.store;
    let trail = audit::trail(store, key.as_str()).await?;
    let stored = store.get(&key).await?;
    match (stored, output.json) {
        (Some(stored), true) => output.value(&json(&key, &stored, args.payload, trail.as_ref())),
        (Some(stored), false) => {
            text(output, &key, &stored, args.payload);
            history(output, trail.as_ref());
        }
        (None, json) => {
            // What was done to it is known for longer than the record is kept.
            if !json {
                history(output, trail.as_ref());
            }
            return Err(Failure::not_found());
        }
    }
    Ok(())
}

fn json(key: &RecordKey, stored: &Stored, whole: bool, trail: Option<&Trail>) -> Value {
    let mut map = record::json(key, stored);
    let decoded = payload_of(&stored.record).map(|bytes| {
        let decoded = Payload::decode(bytes);
        match whole {
            true => decoded.json(),
            false => decoded.redacted(bytes.len()),
        }
    });
    let name = match &stored.record.state {
        State::InFlight { .. } | State::Retryable { .. } => "checkpoint",
        _ => "payload",
    };
    map.insert(name.to_owned(), decoded.unwrap_or(Value::Null));
    let entries = trail
        .map(|trail| trail.entries.as_slice())
        .unwrap_or_default();
    let entries = entries.iter().map(|entry| entry.json(key.as_str()));
    map.insert("history".to_owned(), entries.collect());
    Value::Object(map)
}

/// A record in lines. Its payload is shown if `whole` says so, and else described.
pub(crate) fn text(output: &Output, key: &RecordKey, stored: &Stored, whole: bool) {
    let record = &stored.record;
    let line = |name: &str, value: &str| output.line(&format!("{BOLD}{name:<12}{BOLD:#}{value}"));
    line("key", &key::shown(key.as_str()));
    let standing = record::shown(Standing::of(stored));
    line("state", &format!("{standing}: {}", Standing::why(stored)));
    line("attempt", &record.attempt.to_string());
    let age = stored.age.map_or_else(
        || "not told by the store".to_owned(),
        |age| format!("{} ago", words::time(age)),
    );
    line("last write", &age);
    line("claimed", &record::rfc3339(record.created_at));
    if let Some(left) = stored.remaining {
        line("kept for", &words::time(left));
    }
    line("version", &record::version(&record.version));
    line("fingerprint", &words::hex(record.fingerprint.as_bytes()));
    let name = match &record.state {
        State::InFlight { .. } | State::Retryable { .. } => "checkpoint",
        _ => "answer",
    };
    match payload_of(record) {
        None => line(name, "none"),
        Some(bytes) if whole => {
            line(name, &words::size(bytes.len() as u64));
            output.line(&Payload::decode(bytes).text());
        }
        Some(bytes) => line(name, &Payload::decode(bytes).redacted_text(bytes.len())),
    }
}

fn history(output: &Output, trail: Option<&Trail>) {
    let Some(trail) = trail else { return };
    output.line(&format!("{BOLD}done by hand{BOLD:#}"));
    for entry in &trail.entries {
        output.line(&format!("  {}", audit_line(entry)));
    }
}

/// An entry of the audit in two lines.
pub(crate) fn audit_line(entry: &Entry) -> String {
    let at = entry.at();
    format!(
        "{BOLD}{}{BOLD:#}  {} by {}: {} -> {}, {}\n    {}",
        at.get(..19).unwrap_or(&at),
        printable(&entry.action),
        printable(&entry.who),
        printable(&entry.from),
        printable(&entry.to),
        printable(&entry.outcome),
        printable(&entry.why),
    )
}
