//! Flaws in what is stored and told: keys, records, ttls, ages, errors.

use std::{sync::atomic::Ordering, time::Duration};

use idem_core::{
    Bytes, RecordKey, Timestamp,
    store::{Record, State, StoreError, StoreErrorKind, Stored, codec},
};

use super::{
    Flaw,
    store::{BrokenStore, lock},
};
use crate::reference::LIMIT;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn cut(bytes: &Bytes, length: usize) -> Bytes {
    bytes.slice(..bytes.len().min(length))
}

impl BrokenStore {
    pub(super) fn key(&self, key: &RecordKey) -> RecordKey {
        let (scope, text) = (key.scope().to_owned(), key.key().to_owned());
        let parts = match self.flaw {
            Flaw::KeysConcatenated => (String::new(), scope + &text),
            Flaw::ScopeIgnored => (String::new(), text),
            Flaw::KeysCut => (scope, text.chars().take(200).collect()),
            Flaw::KeysFolded => (scope, text.to_lowercase()),
            Flaw::KeysTrimmed => (scope, format!("{}.", text.trim())),
            Flaw::KeysAsNumbers => match text.parse::<u64>() {
                Ok(number) => (scope, number.to_string()),
                Err(_) => (scope, text),
            },
            Flaw::KeysWithoutIgnorable => {
                (scope, text.replace(['\u{200b}', '\u{ad}', '\u{2060}'], ""))
            }
            Flaw::KeysFullWidthFolded => {
                let narrow = |c: char| match c {
                    '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
                    c => c,
                };
                (scope, text.chars().map(narrow).collect())
            }
            Flaw::KeysNormalised => (scope, text.replace("e\u{301}", "é")),
            _ => return key.clone(),
        };
        RecordKey::from_parts(&parts.0, &parts.1).expect("the cases for keys keep to short ones")
    }

    pub(super) fn record(&self, record: &Record) -> Record {
        let mut record = record.clone();
        match self.flaw {
            Flaw::SignedRevision => {
                let most = i64::MAX as u64;
                record.version.revision = record.version.revision.min(most);
            }
            Flaw::SignedAttempt => record.attempt = record.attempt.min(i32::MAX as u32),
            Flaw::OwnStamp => record.created_at = Timestamp::now(),
            _ => {}
        }
        let (State::InFlight { checkpoint, .. } | State::Retryable { checkpoint }) =
            &mut record.state
        else {
            record.state = self.ended(record.state);
            return record;
        };
        *checkpoint = match (self.flaw, checkpoint.take()) {
            (Flaw::EmptyCheckpointLost, Some(bytes)) if bytes.is_empty() => None,
            (Flaw::CheckpointCut, Some(bytes)) => Some(cut(&bytes, 64 << 10)),
            (Flaw::TooLargeIsCut, Some(bytes)) => Some(cut(&bytes, LIMIT)),
            (_, checkpoint) => checkpoint,
        };
        record
    }

    pub(super) fn ended(&self, state: State) -> State {
        let change = |payload: Bytes| match self.flaw {
            Flaw::TextPayload => String::from_utf8_lossy(&payload).into_owned().into(),
            Flaw::CString => payload
                .split(|byte| *byte == 0)
                .next()
                .map_or_else(Default::default, Bytes::copy_from_slice),
            Flaw::PayloadCut => cut(&payload, 1 << 20),
            Flaw::TooLargeIsCut => cut(&payload, LIMIT),
            _ => payload,
        };
        match state {
            State::Failed { payload } if self.flaw == Flaw::FailureIsSuccess => {
                State::Completed { payload }
            }
            State::Completed { payload } => State::Completed {
                payload: change(payload),
            },
            State::Failed { payload } if self.flaw == Flaw::FailureCut => State::Failed {
                payload: cut(&payload, 64 << 10),
            },
            State::Failed { payload } => State::Failed {
                payload: change(payload),
            },
            state => state,
        }
    }

    pub(super) fn ttl(&self, record: &Record, ttl: Duration) -> Duration {
        match (self.flaw, &record.state) {
            (Flaw::TtlIsLease, State::InFlight { lease, .. }) => *lease,
            (Flaw::TtlInSeconds, _) => Duration::from_secs(ttl.as_secs()),
            (Flaw::TtlOver30DaysIsOver, _) if ttl > 30 * DAY => Duration::ZERO,
            (Flaw::TtlIn32BitsOfMicros, _) => {
                Duration::from_micros((ttl.as_micros() % (1 << 32)) as u64)
            }
            (Flaw::TtlIn32BitsOfMillis, _) => {
                Duration::from_millis((ttl.as_millis() % (1 << 32)) as u64)
            }
            (Flaw::TtlCapped, _) => ttl.min(DAY),
            (Flaw::TtlPanics, _) if u32::try_from(ttl.as_millis()).is_err() => {
                panic!("a ttl that does not fit")
            }
            (Flaw::TtlZeroIsForEver, _) if ttl.is_zero() => 365 * DAY,
            _ => ttl,
        }
    }

    /// What an update leaves of the ttl.
    pub(super) fn updated_ttl(&self, key: &RecordKey, record: &Record, ttl: Duration) -> Duration {
        let left = || {
            let entries = self.raw.entries();
            let entry = entries.get(key.as_str())?;
            let written = codec::decode(&entry.value).ok()?.ttl;
            written.checked_sub(entry.written.elapsed())
        };
        match self.flaw {
            Flaw::UpdateKeepsTtl => left().unwrap_or(ttl),
            Flaw::UpdateShortensTtl => left().map_or(ttl, |left| left.min(ttl)),
            _ => self.ttl(record, ttl),
        }
    }

    /// What is told of what was found.
    pub(super) fn told(&self, found: Option<Stored>) -> Option<Stored> {
        let mut found = found?;
        if let State::Completed { payload } = &found.record.state
            && self.flaw == Flaw::FalsyPayloadLost
            && (payload.is_empty() || payload == "null")
        {
            return None;
        }
        let asked = self.shared.asked.fetch_add(1, Ordering::SeqCst);
        found.age = match (self.flaw, found.age) {
            (Flaw::AppClock, Some(age)) => Some(age + Duration::from_secs(10 * self.handle.number)),
            (Flaw::AgeZero, _) => Some(Duration::ZERO),
            (Flaw::AgeInSeconds, Some(age)) => Some(Duration::from_secs(age.as_secs())),
            (Flaw::AgeBackwards, Some(age)) if asked % 7 == 6 => Some(age / 2),
            (_, age) => age,
        };
        let whole = found.age.zip(found.remaining).map(|(age, left)| age + left);
        found.remaining = match (self.flaw, found.remaining) {
            (Flaw::RemainingIsTtl, _) => whole,
            (Flaw::RemainingOfFirstTtl, left) => {
                let first = lock(&self.shared.first_ttl);
                let first = first.get(&found.record.version.token).copied();
                first
                    .zip(found.age)
                    .map(|(ttl, age)| ttl.saturating_sub(age))
                    .or(left)
            }
            (Flaw::RemainingRoundedUp, Some(left)) => {
                Some(Duration::from_secs(left.as_secs_f64().ceil() as u64))
            }
            (Flaw::RemainingIsZero, Some(_)) => Some(Duration::ZERO),
            (_, left) => left,
        };
        Some(found)
    }

    /// What is told of what was found, to somebody who is refused.
    pub(super) fn refused(&self, found: Option<Stored>) -> Option<Stored> {
        let mut found = self.told(found)?;
        match self.flaw {
            Flaw::RefusedToldAbsent => return None,
            Flaw::RefusedToldNoAge => found.age = None,
            _ => {}
        }
        Some(found)
    }

    pub(super) fn error(&self, error: StoreError) -> StoreError {
        match (self.flaw, error.kind()) {
            (Flaw::LostReplyIsUnavailable, StoreErrorKind::Unknown)
            | (Flaw::FullIsUnavailable, StoreErrorKind::Full) => {
                StoreError::unavailable("broken").with_source(error)
            }
            (Flaw::FaultIsConfig, StoreErrorKind::Unknown | StoreErrorKind::Unavailable) => {
                StoreError::config("broken").with_source(error)
            }
            (Flaw::TooLargeIsFull, StoreErrorKind::TooLarge) => {
                StoreError::full("broken").with_source(error)
            }
            _ => error,
        }
    }
}
