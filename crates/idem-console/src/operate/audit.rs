//! What was done by hand, kept beside the records.
//!
//! All that was done to one key is one record, in a scope that no application's key can be in
//! ([`Scope::audit`]): so a key's history is one read, and every store has it without a table more.
//! An entry is written before its change, and told afterwards how it went.

use std::time::Duration;

use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Created, Record, State, Store, Updated, Version},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Author, Kind, OperateError, record, successor, words};

/// The oldest entries of a key go when there are more.
const MOST_ENTRIES: usize = 100;
/// How often somebody else may be faster.
const MOST_ROUNDS: usize = 20;

/// All that was done to one key, or to one scope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trail {
    /// `scope:key`, or [`subject_of_scope`].
    pub subject: String,
    /// The oldest first.
    pub entries: Vec<Entry>,
}

/// One thing that was done by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    id: u64,
    /// Milliseconds since 1970, by the clock of whoever did it.
    at_ms: u64,
    /// `resolve`, `release` or `erase`.
    pub action: String,
    /// Who did it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// The version that the change was for.
    pub version: Option<String>,
    /// `begun`, `done`, or what kept it from being done. `begun` stays where the program died.
    pub outcome: String,
}

/// What a change will do, for its entry.
#[derive(Debug)]
pub struct Intent<'a> {
    /// `scope:key`, or [`subject_of_scope`].
    pub subject: String,
    /// `resolve`, `release` or `erase`.
    pub action: &'a str,
    /// The state before.
    pub from: String,
    /// The state after.
    pub to: String,
    /// The version that the change is for.
    pub version: Option<String>,
}

/// An entry that was written, and is to be told how it went.
#[derive(Debug)]
pub struct Begun {
    key: RecordKey,
    id: u64,
    keep: Duration,
}

/// Whether this is the key of a trail.
#[must_use]
pub fn is_entry(key: &RecordKey) -> bool {
    key.scope() == Scope::audit().as_str()
}

/// What an erasure of a scope is filed under. A key's text has a `:` in it and a scope's has none, so
/// neither is taken for the other.
#[must_use]
pub fn subject_of_scope(scope: &str, under: bool) -> String {
    match under {
        true => format!("scopes under {scope}"),
        false => format!("scope {scope}"),
    }
}

/// Writes the entry of a change that is about to be made.
///
/// # Errors
/// What the store says: nothing should be changed then.
pub async fn begin(
    store: &dyn Store,
    author: &Author,
    intent: Intent<'_>,
) -> Result<Begun, OperateError> {
    let key = key_of(&intent.subject)?;
    let entry = Entry {
        id: rand::random(),
        at_ms: Timestamp::now().as_millis(),
        action: intent.action.to_owned(),
        who: author.who.clone(),
        why: author.why.clone(),
        from: intent.from,
        to: intent.to,
        version: intent.version,
        outcome: "begun".to_owned(),
    };
    let begun = Begun {
        key,
        id: entry.id,
        keep: author.keep,
    };
    amend(store, &begun, &intent.subject, |trail| {
        if !trail.entries.iter().any(|there| there.id == entry.id) {
            trail.entries.push(entry.clone());
        }
        let over = trail.entries.len().saturating_sub(MOST_ENTRIES);
        trail.entries.drain(..over);
    })
    .await?;
    Ok(begun)
}

impl Begun {
    /// Notes how it went.
    ///
    /// # Errors
    /// What the store says: the entry stays `begun` then.
    pub async fn end(self, store: &dyn Store, outcome: &str) -> Result<(), OperateError> {
        amend(store, &self, "", |trail| {
            let entry = trail.entries.iter_mut().find(|entry| entry.id == self.id);
            if let Some(entry) = entry {
                outcome.clone_into(&mut entry.outcome);
            }
        })
        .await
    }
}

/// The trail of a key or a scope.
///
/// # Errors
/// What the store says.
pub async fn trail(store: &dyn Store, subject: &str) -> Result<Option<Trail>, OperateError> {
    let found = store.get(&key_of(subject)?).await?;
    Ok(found.and_then(|stored| read(&stored.record)))
}

/// Reads the record of a trail; `None` if it is no trail.
#[must_use]
pub fn read(record: &Record) -> Option<Trail> {
    match &record.state {
        State::Completed { payload } => serde_json::from_slice(payload).ok(),
        _ => None,
    }
}

/// A hash: the subject may be longer than a key.
fn fingerprint(subject: &str) -> Fingerprint {
    Fingerprint::of("idem-audit/v1", subject.as_bytes())
}

fn key_of(subject: &str) -> Result<RecordKey, OperateError> {
    let hash = words::hex(fingerprint(subject).as_bytes());
    Ok(Scope::audit().key(&IdempotencyKey::new(hash)?))
}

/// Reads the trail, changes it, and writes it if nobody else did meanwhile. The change may be made
/// more than once, also to a trail that has it already.
async fn amend(
    store: &dyn Store,
    begun: &Begun,
    subject: &str,
    change: impl Fn(&mut Trail),
) -> Result<(), OperateError> {
    for _ in 0..MOST_ROUNDS {
        let there = store.get(&begun.key).await?.map(|stored| stored.record);
        let mut trail = match &there {
            None => Trail {
                subject: subject.to_owned(),
                entries: Vec::new(),
            },
            Some(record) => read(record).ok_or_else(|| {
                OperateError::new(
                    Kind::Failed,
                    "the audit's record cannot be read; is it of a newer release?",
                )
            })?,
        };
        change(&mut trail);
        let payload = serde_json::to_vec(&trail)
            .map_err(|error| OperateError::new(Kind::Failed, error.to_string()))?;
        let state = State::Completed {
            payload: payload.into(),
        };
        let written = match &there {
            None => {
                let record = Record {
                    fingerprint: fingerprint(&trail.subject),
                    attempt: 1,
                    version: Version {
                        token: ClaimToken::from_bytes(rand::random()),
                        revision: 1,
                    },
                    created_at: Timestamp::now(),
                    state,
                };
                store.create(&begun.key, &record, begun.keep).await? == Created::New
            }
            Some(before) => {
                let record = successor(before, state);
                let updated = store.update(&begun.key, before.version, &record, begun.keep);
                updated.await? == Updated::Done
            }
        };
        if written {
            return Ok(());
        }
    }
    Err(OperateError::new(
        Kind::Failed,
        "the audit entry could not be written: others write to it without end",
    ))
}

impl Entry {
    /// As JSON.
    #[must_use]
    pub fn json(&self, subject: &str) -> Value {
        json!({
            "type": "audit",
            "subject": subject,
            "at": self.at(),
            "action": self.action,
            "by": self.who,
            "reason": self.why,
            "from": self.from,
            "to": self.to,
            "version": self.version,
            "outcome": self.outcome,
        })
    }

    /// When, in milliseconds since 1970, by the clock of whoever did it.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// When, as text.
    #[must_use]
    pub fn at(&self) -> String {
        record::rfc3339(Timestamp::from_millis(self.at_ms))
    }
}
