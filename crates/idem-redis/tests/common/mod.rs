//! What the tests share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and fails by panicking"
)]

use std::{collections::BTreeMap, time::Duration};

use idem_core::{
    Claim, Execution, Fingerprint, Idempotency, IdempotencyKey, RecordKey, Scope, Timestamp,
    store::{ClaimToken, Record, State, Version},
};
use idem_redis::RedisStore;
use idem_testbed::{Redis, RedisBinary, RedisFlavor};

/// A store with the defaults.
pub(crate) async fn store(server: &Redis) -> RedisStore {
    RedisStore::connect(&server.url()).await.unwrap()
}

/// What the server calls a record.
pub(crate) fn name(key: &RecordKey) -> String {
    format!("idem:{}", key.as_str())
}

/// A key of its own for every test.
pub(crate) fn random_key() -> RecordKey {
    scope().key(&IdempotencyKey::random())
}

/// A key of this text.
pub(crate) fn key(text: &str) -> RecordKey {
    scope().key(&IdempotencyKey::new(text).unwrap())
}

fn scope() -> Scope {
    Scope::new("tests").unwrap()
}

/// The request that most tests send.
pub(crate) fn fingerprint() -> Fingerprint {
    Fingerprint::of("tests", b"request")
}

/// Claims a key that has to be free.
pub(crate) async fn acquire(idem: &Idempotency, key: &RecordKey) -> Execution {
    match idem.claim(key, &fingerprint()).await.unwrap() {
        Claim::Acquired(execution) => execution,
        other => panic!("not acquired: {other:?}"),
    }
}

/// Claims a key that has to be completed.
pub(crate) async fn replayed(idem: &Idempotency, key: &RecordKey) -> idem_core::Bytes {
    match idem.claim(key, &fingerprint()).await.unwrap() {
        Claim::Replay(payload) => payload,
        other => panic!("not replayed: {other:?}"),
    }
}

/// How often a server ran which command, in scripts too, since the count was last taken.
pub(crate) struct CommandCounts {
    server: Redis,
    before: BTreeMap<String, u64>,
}

impl CommandCounts {
    pub(crate) fn of(server: &Redis) -> Self {
        Self {
            server: server.clone(),
            before: counts(server),
        }
    }

    /// The commands that ran, and how often, but for those that ask for this.
    pub(crate) fn taken(&mut self) -> BTreeMap<String, u64> {
        let now = counts(&self.server);
        let ran = now
            .iter()
            .map(|(name, n)| (name.clone(), n - self.before.get(name).unwrap_or(&0)))
            .filter(|(name, n)| *n > 0 && name != "info")
            .collect();
        self.before = now;
        ran
    }
}

fn counts(server: &Redis) -> BTreeMap<String, u64> {
    let stats = server.command(&["INFO", "commandstats"]).unwrap();
    let stats = stats.text().unwrap();
    stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="))
        .map(|(name, rest)| (name.to_owned(), rest.split(',').next().unwrap()))
        .map(|(name, calls)| (name, calls.parse().unwrap()))
        .collect()
}

/// Long enough for anything that is not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A record that a claim leaves, and what its holder replaces it with.
pub(crate) fn claim_record() -> Record {
    Record {
        fingerprint: fingerprint(),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes(std::array::from_fn(|_| rand_byte())),
            revision: 1,
        },
        created_at: Timestamp::now(),
        state: State::InFlight {
            lease: Duration::from_secs(60),
            checkpoint: None,
        },
    }
}

/// The ending of [`claim_record`].
pub(crate) fn completed(claim: &Record, payload: &'static str) -> Record {
    Record {
        version: Version {
            revision: claim.version.revision + 1,
            ..claim.version
        },
        state: State::Completed {
            payload: payload.into(),
        },
        ..claim.clone()
    }
}

/// Keys are random, so bytes of one are.
fn rand_byte() -> u8 {
    let uuid = IdempotencyKey::random();
    u8::from_str_radix(&uuid.as_str()[..2], 16).unwrap()
}

/// How long records of tests live.
pub(crate) const TTL: Duration = Duration::from_secs(3600);

/// Whether the server has `SET … IFEQ`.
pub(crate) fn replaces_natively(binary: &RedisBinary) -> bool {
    match binary.flavor() {
        RedisFlavor::Valkey => binary.version() >= (8, 1, 0),
        RedisFlavor::Redis => binary.version() >= (8, 4, 0),
    }
}
