//! `idem-memory`, beside a sharded hash map that is written to and read by hand.
//!
//! The floor of `fresh` is two writes to a `DashMap`, one of an encoded claim and one of an encoded
//! completion with the same payload; both are encoded ahead, so that a write is a copy of its bytes
//! and an insert. The floor of `replay` is one read. Keys are made ahead on both sides, and shared
//! with the map as idem shares them with its store. Both sides hold [`HELD`] records from the
//! start, as a store does that keeps answers for a day.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use dashmap::DashMap;
use idem_core::{
    Context, Failure, Fingerprint, Idempotency, RecordKey,
    store::{State, codec},
};
use idem_memory::MemoryStore;

use super::sample::{self, RECEIPT, Receipt, fingerprint, record};
use crate::case::{Case, Load};

/// Records that are there from the start.
const HELD: usize = 250_000;
/// Fresh keys that a world takes until there are twice as many.
const TAKEN: usize = HELD;
const SLICE: Duration = Duration::from_millis(5);
/// Reading the clock twice takes a good part of the time of an operation.
const SAMPLE: usize = 16;
const RETENTION: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn cases() -> Result<Vec<Case>> {
    Ok(vec![
        Case::new("fresh", Fresh, TwoWrites),
        Case::new("replay", Replay, OneRead),
    ])
}

struct Fresh;

impl Load for Fresh {
    type World = Engine;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;
    const SAMPLE: usize = SAMPLE;
    const WORLD: usize = TAKEN;

    async fn world(&self) -> Result<Engine> {
        Engine::new().await
    }

    async fn batch(world: &Engine, ops: usize) -> Result<Vec<RecordKey>> {
        world.keys.fresh(ops)
    }

    async fn op(world: &Engine, batch: &Vec<RecordKey>, index: usize) -> Result<()> {
        let executing = world
            .idem
            .execute(&batch[index], &world.fingerprint, charge);
        let outcome = executing.await.map_err(|error| anyhow!("{error}"))?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct Replay;

impl Load for Replay {
    type World = Engine;
    type Batch = Vec<RecordKey>;
    const SLICE: Duration = SLICE;
    const SAMPLE: usize = SAMPLE;

    async fn world(&self) -> Result<Engine> {
        Engine::new().await
    }

    async fn batch(world: &Engine, ops: usize) -> Result<Vec<RecordKey>> {
        world.keys.held(ops)
    }

    async fn op(world: &Engine, batch: &Vec<RecordKey>, index: usize) -> Result<()> {
        let executing = world
            .idem
            .execute(&batch[index], &world.fingerprint, charge);
        let outcome = executing.await.map_err(|error| anyhow!("{error}"))?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

struct Engine {
    idem: Idempotency,
    fingerprint: Fingerprint,
    keys: Keys,
}

impl Engine {
    async fn new() -> Result<Self> {
        let engine = Self {
            idem: Idempotency::builder(MemoryStore::new()).build()?,
            fingerprint: fingerprint(),
            keys: Keys::default(),
        };
        for key in engine.keys.fresh(HELD)? {
            let executing = engine.idem.execute(&key, &engine.fingerprint, charge);
            executing.await.map_err(|error| anyhow!("{error}"))?;
        }
        Ok(engine)
    }
}

/// The work: there is nothing to do but to answer.
async fn charge(_running: Context) -> Result<Receipt, Failure<String>> {
    Ok(RECEIPT)
}

struct TwoWrites;

impl Load for TwoWrites {
    type World = Map;
    type Batch = Vec<Arc<str>>;
    const SLICE: Duration = SLICE;
    const SAMPLE: usize = SAMPLE;
    const WORLD: usize = TAKEN;

    async fn world(&self) -> Result<Map> {
        Map::new()
    }

    async fn batch(world: &Map, ops: usize) -> Result<Vec<Arc<str>>> {
        Ok(texts(&world.keys.fresh(ops)?))
    }

    async fn op(world: &Map, batch: &Vec<Arc<str>>, index: usize) -> Result<()> {
        world.write_twice(&batch[index]);
        Ok(())
    }
}

struct OneRead;

impl Load for OneRead {
    type World = Map;
    type Batch = Vec<Arc<str>>;
    const SLICE: Duration = SLICE;
    const SAMPLE: usize = SAMPLE;

    async fn world(&self) -> Result<Map> {
        Map::new()
    }

    async fn batch(world: &Map, ops: usize) -> Result<Vec<Arc<str>>> {
        Ok(texts(&world.keys.held(ops)?))
    }

    async fn op(world: &Map, batch: &Vec<Arc<str>>, index: usize) -> Result<()> {
        let found = world.records.get(&batch[index]);
        let value = found.map(|found| found.value().clone());
        ensure!(black_box(value).is_some(), "a key that was written is gone");
        Ok(())
    }
}

struct Map {
    records: DashMap<Arc<str>, Bytes>,
    claim: Bytes,
    completion: Bytes,
    keys: Keys,
}

impl Map {
    fn new() -> Result<Self> {
        let lease = Duration::from_secs(30);
        let checkpoint = None;
        let claim = record(1, State::InFlight { lease, checkpoint });
        let payload = Bytes::from(serde_json::to_vec(&RECEIPT)?);
        let completion = record(2, State::Completed { payload });
        let map = Self {
            records: DashMap::new(),
            claim: codec::encode(&claim, RETENTION + lease),
            completion: codec::encode(&completion, RETENTION),
            keys: Keys::default(),
        };
        for key in texts(&map.keys.fresh(HELD)?) {
            map.write_twice(&key);
        }
        Ok(map)
    }

    fn write_twice(&self, key: &Arc<str>) {
        for value in [&self.claim, &self.completion] {
            let value = Bytes::copy_from_slice(value);
            self.records.insert(Arc::clone(key), value);
        }
    }
}

/// Hands out keys that were not there before, and some that were.
#[derive(Default)]
struct Keys {
    next: AtomicUsize,
}

impl Keys {
    fn fresh(&self, count: usize) -> Result<Vec<RecordKey>> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        (first..first + count).map(key).collect()
    }

    /// Keys of the records that are there from the start, all over the place.
    fn held(&self, count: usize) -> Result<Vec<RecordKey>> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let scattered = |index: usize| index.wrapping_mul(7919) % HELD;
        (first..first + count)
            .map(|index| key(scattered(index)))
            .collect()
    }
}

fn key(index: usize) -> Result<RecordKey> {
    sample::key("merchant-7", index)
}

fn texts(keys: &[RecordKey]) -> Vec<Arc<str>> {
    keys.iter().map(|key| Arc::from(key.as_str())).collect()
}
