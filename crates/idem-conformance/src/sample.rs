//! Keys, versions and records to write.

use std::time::Duration;

use bytes::Bytes;
use idem_core::{
    Fingerprint, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Version},
};

use crate::Harness;

/// Longer than any test: for records that are to stay.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// The last millisecond that a calendar with four digits can show.
pub(crate) const LAST_STAMP: u64 = 253_402_300_799_999;

/// A scope of its own for one case.
pub(crate) struct Keys {
    scope: Scope,
}

impl Keys {
    pub(crate) fn draw(harness: &dyn Harness) -> Self {
        let scope = Scope::new(harness.namespace())
            .and_then(|scope| scope.child(IdempotencyKey::random().as_str()))
            .expect("the harness gives a namespace that is a scope");
        Self { scope }
    }

    /// The scope.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn random(&self) -> RecordKey {
        self.scope.key(&IdempotencyKey::random())
    }

    pub(crate) fn named(&self, key: &str) -> RecordKey {
        key_in(&self.scope, key)
    }
}

pub(crate) fn key_in(scope: &Scope, key: &str) -> RecordKey {
    scope.key(&IdempotencyKey::new(key).expect("the suite uses keys that are keys"))
}

pub(crate) fn token() -> ClaimToken {
    ClaimToken::from_bytes(rand::random())
}

/// A new claim: in flight, attempt 1, revision 1, a token of its own.
pub(crate) fn claim() -> Record {
    record(State::InFlight {
        lease: Duration::from_secs(30),
        checkpoint: None,
    })
}

/// A first record in this state, with a token of its own.
pub(crate) fn record(state: State) -> Record {
    Record {
        fingerprint: Fingerprint::of("conformance/v1", b"a request"),
        attempt: 1,
        version: Version {
            token: token(),
            revision: 1,
        },
        created_at: Timestamp::from_millis(1_700_000_000_123),
        state,
    }
}

/// The same claim, one write later, in this state.
pub(crate) fn next(record: &Record, state: State) -> Record {
    Record {
        version: Version {
            revision: record.version.revision + 1,
            ..record.version
        },
        state,
        ..record.clone()
    }
}

/// The same claim, completed with this answer.
pub(crate) fn completed(record: &Record, payload: impl Into<Bytes>) -> Record {
    next(
        record,
        State::Completed {
            payload: payload.into(),
        },
    )
}

/// Another claim over this record, as a successor makes it.
pub(crate) fn successor(record: &Record) -> Record {
    Record {
        attempt: record.attempt + 1,
        version: Version {
            token: token(),
            revision: record.version.revision + 1,
        },
        ..record.clone()
    }
}
