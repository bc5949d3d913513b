//! `idem-redis`, beside the same bytes written by hand over the same connection of the driver.
//!
//! The floor of `fresh` is `SET … NX PX` of an encoded claim and `SET … PX` of an encoded completion
//! with the same payload; both are encoded ahead, and so are the names. The floor of `replay` is one
//! `GET`. The server is the one that `IDEM_REDIS_SERVER` names, else the one in `PATH`; it keeps
//! nothing on disk. `MEMORY USAGE` is the matter of a test of idem-redis.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use bytes::Bytes;
use idem_core::{
    ClaimToken, Failure, Fingerprint, Idempotency, IdempotencyKey, Outcome, Record, RecordKey,
    Scope, State, Timestamp, Version, codec,
};
use idem_redis::{
    RedisConfig, RedisStore,
    redis::{self, AsyncConnectionConfig, aio::MultiplexedConnection},
};
use idem_testbed::Redis;
use serde::{Deserialize, Serialize};

use crate::case::{Case, Load};

const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Records that are there to be replayed.
const REPLAYED: usize = 10_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let server = Arc::new(Server::start().await?);
    let of = || Arc::clone(&server);
    Ok(vec![
        Case::new("fresh", Fresh(of()), TwoWrites(of())),
        Case::new("replay", Replay(of()), OneRead(of())),
    ])
}

/// A server, and the one connection that everything goes over.
struct Server {
    process: Redis,
    connection: MultiplexedConnection,
}

impl Server {
    async fn start() -> Result<Self> {
        let process = Redis::start().await?;
        let client = redis::Client::open(process.url())?;
        // Nobody takes turns at 256 tasks.
        let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(1024);
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self {
            process,
            connection,
        })
    }

    /// Leaves nothing of the slice before.
    fn clear(&self) -> Result<()> {
        self.process.command(&["FLUSHALL"])?;
        Ok(())
    }
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

struct Engine {
    idem: Idempotency,
    fingerprint: Fingerprint,
    keys: Vec<RecordKey>,
}

impl Engine {
    async fn new(server: &Server, keys: usize) -> Result<Self> {
        server.clear()?;
        let store = RedisStore::new(server.connection.clone(), RedisConfig::default()).await?;
        let engine = Self {
            idem: Idempotency::builder(store).build()?,
            fingerprint: fingerprint(),
            keys: (0..keys).map(key).collect::<Result<_>>()?,
        };
        // The server learns the script, and the store learns what the server has.
        engine.execute(&key(usize::MAX)?).await?;
        Ok(engine)
    }

    async fn execute(&self, key: &RecordKey) -> Result<Outcome<Receipt>> {
        let work = async |_| Ok::<_, Failure<String>>(RECEIPT);
        let executed = self.idem.execute(key, &self.fingerprint, work).await;
        executed.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

struct Fresh(Arc<Server>);

impl Load for Fresh {
    type World = Engine;

    async fn world(&self, ops: usize) -> Result<Engine> {
        Engine::new(&self.0, ops).await
    }

    async fn op(world: &Engine, index: usize) -> Result<()> {
        let outcome = world.execute(&world.keys[index]).await?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct Replay(Arc<Server>);

impl Load for Replay {
    type World = Engine;

    async fn world(&self, _ops: usize) -> Result<Engine> {
        let engine = Engine::new(&self.0, REPLAYED).await?;
        for keys in engine.keys.chunks(256) {
            let executions = keys.iter().map(|key| engine.execute(key));
            futures_util::future::try_join_all(executions).await?;
        }
        Ok(engine)
    }

    async fn op(world: &Engine, index: usize) -> Result<()> {
        let outcome = world.execute(&world.keys[index % REPLAYED]).await?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

/// The driver alone.
struct ByHand {
    connection: MultiplexedConnection,
    names: Vec<String>,
    claim: Bytes,
    completion: Bytes,
}

impl ByHand {
    fn new(server: &Server, names: usize) -> Result<Self> {
        server.clear()?;
        let name = |index| Ok(format!("idem:{}", key(index)?.as_str()));
        let lease = Duration::from_secs(30);
        let checkpoint = None;
        let payload = Bytes::from(serde_json::to_vec(&RECEIPT)?);
        Ok(Self {
            connection: server.connection.clone(),
            names: (0..names).map(name).collect::<Result<_>>()?,
            claim: codec::encode(
                &record(1, State::InFlight { lease, checkpoint }),
                RETENTION + lease,
            ),
            completion: codec::encode(&record(2, State::Completed { payload }), RETENTION),
        })
    }

    async fn set(&self, index: usize, value: &Bytes, new: bool) -> Result<()> {
        let mut set = redis::cmd("SET");
        set.arg(&self.names[index]).arg(&value[..]);
        if new {
            set.arg("NX");
        }
        set.arg("PX").arg(RETENTION.as_millis() as u64);
        let reply = self.connection.clone().send_packed_command(&set).await?;
        ensure!(reply == redis::Value::Okay, "not set: {reply:?}");
        Ok(())
    }
}

struct TwoWrites(Arc<Server>);

impl Load for TwoWrites {
    type World = ByHand;

    async fn world(&self, ops: usize) -> Result<ByHand> {
        ByHand::new(&self.0, ops)
    }

    async fn op(world: &ByHand, index: usize) -> Result<()> {
        world.set(index, &world.claim, true).await?;
        world.set(index, &world.completion, false).await
    }
}

struct OneRead(Arc<Server>);

impl Load for OneRead {
    type World = ByHand;

    async fn world(&self, _ops: usize) -> Result<ByHand> {
        let by_hand = ByHand::new(&self.0, REPLAYED)?;
        let indices: Vec<usize> = (0..REPLAYED).collect();
        for indices in indices.chunks(256) {
            let sets = indices
                .iter()
                .map(|&index| by_hand.set(index, &by_hand.completion, true));
            futures_util::future::try_join_all(sets).await?;
        }
        Ok(by_hand)
    }

    async fn op(world: &ByHand, index: usize) -> Result<()> {
        let mut get = redis::cmd("GET");
        get.arg(&world.names[index % REPLAYED]);
        let reply = world.connection.clone().send_packed_command(&get).await?;
        let found = matches!(reply, redis::Value::BulkString(_));
        ensure!(found, "a key that was written is gone");
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
