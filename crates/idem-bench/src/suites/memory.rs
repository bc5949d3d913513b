//! `idem-memory`, beside a sharded hash map that is written to and read by hand.
//!
//! The floor of `fresh` is two writes to a `DashMap`, one of an encoded claim and one of an encoded
//! completion with the same payload; both are encoded ahead, so that a write is a copy of its bytes
//! and an insert. The floor of `replay` is one read. Keys are made ahead on both sides, and shared
//! with the map as idem shares them with its store.

use std::{hint::black_box, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use bytes::Bytes;
use dashmap::DashMap;
use idem_core::{
    ClaimToken, Failure, Fingerprint, Idempotency, IdempotencyKey, Outcome, Record, RecordKey,
    Scope, State, Timestamp, Version, codec,
};
use idem_memory::MemoryStore;
use serde::{Deserialize, Serialize};

use crate::case::{Case, Load};

const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Records that are there to be replayed.
const REPLAYED: usize = 10_000;
/// Reading the clock twice takes a good part of the time of an operation.
const SAMPLE: usize = 16;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    Ok(vec![
        Case::new("fresh", Fresh, TwoWrites),
        Case::new("replay", Replay, OneRead),
    ])
}

/// The answer of the work, as a small API gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Receipt {
    charge: u64,
    amount: u64,
    captured: bool,
}

const RECEIPT: Receipt = Receipt {
    charge: 4_711_081_500_017,
    amount: 500,
    captured: true,
};

struct Fresh;

struct Engine {
    idem: Idempotency,
    fingerprint: Fingerprint,
    keys: Vec<RecordKey>,
}

impl Engine {
    fn new(keys: usize) -> Result<Self> {
        Ok(Self {
            idem: Idempotency::builder(MemoryStore::new()).build()?,
            fingerprint: fingerprint(),
            keys: (0..keys).map(key).collect::<Result<_>>()?,
        })
    }

    async fn execute(&self, key: &RecordKey) -> Result<Outcome<Receipt>> {
        let work = async |_| Ok::<_, Failure<String>>(RECEIPT);
        let executed = self.idem.execute(key, &self.fingerprint, work).await;
        executed.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

impl Load for Fresh {
    type World = Engine;
    const SAMPLE: usize = SAMPLE;

    async fn world(&self, ops: usize) -> Result<Engine> {
        Engine::new(ops)
    }

    async fn op(world: &Engine, index: usize) -> Result<()> {
        let outcome = world.execute(&world.keys[index]).await?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct Replay;

impl Load for Replay {
    type World = Engine;
    const SAMPLE: usize = SAMPLE;

    async fn world(&self, _ops: usize) -> Result<Engine> {
        let engine = Engine::new(REPLAYED)?;
        for key in &engine.keys {
            engine.execute(key).await?;
        }
        Ok(engine)
    }

    async fn op(world: &Engine, index: usize) -> Result<()> {
        let outcome = world.execute(&world.keys[index % REPLAYED]).await?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

struct TwoWrites;

struct Map {
    records: DashMap<Arc<str>, Bytes>,
    keys: Vec<Arc<str>>,
    claim: Bytes,
    completion: Bytes,
}

impl Map {
    fn new(keys: usize) -> Result<Self> {
        let key = |index| Ok(Arc::from(key(index)?.as_str()));
        let lease = Duration::from_secs(30);
        let checkpoint = None;
        let payload = Bytes::from(serde_json::to_vec(&RECEIPT)?);
        Ok(Self {
            records: DashMap::new(),
            keys: (0..keys).map(key).collect::<Result<_>>()?,
            claim: codec::encode(
                &record(1, State::InFlight { lease, checkpoint }),
                RETENTION + lease,
            ),
            completion: codec::encode(&record(2, State::Completed { payload }), RETENTION),
        })
    }

    fn write(&self, index: usize, value: &Bytes) {
        let value = Bytes::copy_from_slice(value);
        self.records.insert(Arc::clone(&self.keys[index]), value);
    }
}

impl Load for TwoWrites {
    type World = Map;
    const SAMPLE: usize = SAMPLE;

    async fn world(&self, ops: usize) -> Result<Map> {
        Map::new(ops)
    }

    async fn op(world: &Map, index: usize) -> Result<()> {
        world.write(index, &world.claim);
        world.write(index, &world.completion);
        Ok(())
    }
}

struct OneRead;

impl Load for OneRead {
    type World = Map;
    const SAMPLE: usize = SAMPLE;

    async fn world(&self, _ops: usize) -> Result<Map> {
        let map = Map::new(REPLAYED)?;
        (0..REPLAYED).for_each(|index| map.write(index, &map.completion));
        Ok(map)
    }

    async fn op(world: &Map, index: usize) -> Result<()> {
        let found = world.records.get(&world.keys[index % REPLAYED]);
        let value = found.map(|found| found.value().clone());
        ensure!(black_box(value).is_some(), "a key that was written is gone");
        Ok(())
    }
}

fn key(index: usize) -> Result<RecordKey> {
    let key = IdempotencyKey::new(format!("8e03978e-40d5-43dd-bc93-{index:012x}"))?;
    Ok(Scope::new("merchant-7")?.key(&key))
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of("bench/v1", b"500 usd")
}

fn record(revision: u64, state: State) -> Record {
    Record {
        fingerprint: fingerprint(),
        attempt: 1,
        version: Version {
            token: ClaimToken::from_bytes([7; 16]),
            revision,
        },
        created_at: Timestamp::now(),
        state,
    }
}
