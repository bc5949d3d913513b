//! Who asks, and one record.

use axum::{Json, extract::State};
use http::request::Parts;
use idem_core::{
    RecordKey,
    spi::Printable,
    store::{State as RecordState, Stored},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{App, Refusal};
use crate::operate::{
    self, Kind, OperateError, Payload, Standing, audit, check_release, check_resolve, payload_of,
};

pub(super) async fn session(State(app): State<App>, parts: Parts) -> Json<Value> {
    Json(json!({
        "title": app.console.title,
        "actor": app.console.actor(&parts),
    }))
}

#[derive(Deserialize)]
pub(super) struct Asked {
    key: String,
}

/// By POST: a key is as good as a password to its answer, and does not belong into an address.
pub(super) async fn show(
    State(app): State<App>,
    Json(asked): Json<Asked>,
) -> Result<Json<Value>, Refusal> {
    let key = parse_key(&asked.key)?;
    let store = &*app.console.store;
    let trail = audit::trail(store, key.as_str()).await?;
    let entries = trail.map(|trail| trail.entries).unwrap_or_default();
    let history: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let mut value = entry.json(key.as_str());
            for name in ["by", "reason", "subject"] {
                let text = value[name].as_str().unwrap_or_default();
                value[name] = Printable(text).to_string().into();
            }
            value
        })
        .collect();
    let stored = store.get(&key).await?;
    let mut shown = match &stored {
        Some(stored) => of_record(&key, stored),
        // What was done to it is known for longer than the record is kept.
        None if !history.is_empty() => Map::new(),
        None => return Err(OperateError::not_found().into()),
    };
    shown.insert("key".to_owned(), key.as_str().into());
    shown.insert(
        "shown".to_owned(),
        Printable(key.as_str()).to_string().into(),
    );
    shown.insert("history".to_owned(), history.into());
    Ok(Json(Value::Object(shown)))
}

fn of_record(key: &RecordKey, stored: &Stored) -> Map<String, Value> {
    let mut shown = operate::json(key, stored);
    let mut put = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    put("why", Standing::why(stored).into());
    let payload = payload_of(&stored.record)
        .map(|bytes| Payload::decode(bytes).redacted(bytes.len()))
        .unwrap_or_default();
    let name = match stored.record.state {
        RecordState::InFlight { .. } | RecordState::Retryable { .. } => "checkpoint",
        _ => "answer",
    };
    put("payload_is", name.into());
    put("payload", payload);
    // Why it may not be done, or null.
    let refusal = |checked: Result<(), OperateError>| checked.err().map(|error| error.message);
    put("resolve_refused", refusal(check_resolve(stored)).into());
    let release = check_release(stored, false);
    put("release_means", release.as_ref().ok().copied().into());
    put("release_refused", refusal(release.map(|_| ())).into());
    shown
}

pub(super) fn parse_key(text: &str) -> Result<RecordKey, OperateError> {
    if !text.contains(':') {
        return Err(OperateError::new(
            Kind::Usage,
            "a key is SCOPE:KEY, and :KEY in the global scope",
        ));
    }
    Ok(RecordKey::parse(text)?)
}
