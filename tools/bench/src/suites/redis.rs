//! `idem-redis`, beside the same bytes written by hand over the same connection of the driver.
//!
//! The floor of `fresh` is `SET … NX PX` of an encoded claim and `SET … PX` of an encoded completion
//! with the same payload; both are encoded ahead, and so are the names. The floor of `replay` is one
//! `GET`. The server is the one that `IDEM_REDIS_SERVER` names, else the one in `PATH`; it keeps
//! nothing on disk. `MEMORY USAGE` is the matter of a test of idem-redis.

mod watched;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use idem_core::{
    Failure, Fingerprint, Idempotency, Outcome, RecordKey,
    store::{State, codec},
};
use idem_redis::{
    RedisConfig, RedisStore,
    redis::{self, AsyncConnectionConfig, Cmd, Value, aio::MultiplexedConnection},
};
use idem_testbed::Redis;

use super::sample::{RECEIPT, Receipt, fingerprint, key, record};
use crate::case::{Case, Load};

const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// Records that are there to be replayed.
const REPLAYED: usize = 10_000;

pub(crate) async fn cases() -> Result<Vec<Case>> {
    let (fresh, replay) = (Server::start().await?, Server::start().await?);
    Ok(vec![
        Case::new("fresh", Fresh(fresh.clone()), TwoWrites(fresh)),
        Case::new("replay", Replay(replay.clone()), OneRead(replay)),
        watched::case().await?,
    ])
}

/// A server, and the one connection that both sides of a case go over.
#[derive(Clone)]
struct Server {
    _process: Redis,
    connection: MultiplexedConnection,
    /// How many keys were used up.
    used: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Result<Self> {
        let process = Redis::start().await?;
        let client = redis::Client::open(process.url())?;
        // At 256 tasks none waits for its turn.
        let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(1024);
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self {
            _process: process,
            connection,
            used: Arc::default(),
        })
    }

    /// Numbers of keys that nobody used yet; leaves no record of those before.
    ///
    /// Over the connection that is measured. A call that blocks a thread of the runtime makes the
    /// scheduler move client and server about, to one core or to two; at one task the slice after it
    /// would show no more than where they came to rest.
    async fn fresh(&self, ops: usize) -> Result<Range<usize>> {
        let flush = redis::cmd("FLUSHALL");
        flush.exec_async(&mut self.connection.clone()).await?;
        let first = self.used.fetch_add(ops, Ordering::Relaxed);
        Ok(first..first + ops)
    }
}

struct Engine {
    server: Server,
    idem: Idempotency,
    fingerprint: Fingerprint,
}

impl Engine {
    async fn new(server: &Server) -> Result<Self> {
        let store = RedisStore::new(server.connection.clone(), RedisConfig::default()).await?;
        let engine = Self {
            server: server.clone(),
            idem: Idempotency::builder(store).build()?,
            fingerprint: fingerprint(),
        };
        // The server learns the script, and the store learns what the server has.
        engine.execute(&key("warm-up", 0)?).await?;
        Ok(engine)
    }

    async fn execute(&self, key: &RecordKey) -> Result<Outcome<Receipt>> {
        let work = async |_| Ok::<_, Failure<String>>(RECEIPT);
        let executed = self.idem.execute(key, &self.fingerprint, work).await;
        executed.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

struct Fresh(Server);

impl Load for Fresh {
    type World = Engine;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<Engine> {
        Engine::new(&self.0).await
    }

    async fn batch(world: &Engine, ops: usize) -> Result<Vec<RecordKey>> {
        let fresh = world.server.fresh(ops).await?;
        fresh.map(|index| key("fresh", index)).collect()
    }

    async fn op(world: &Engine, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        let outcome = world.execute(&keys[index]).await?;
        ensure!(!outcome.replayed, "a fresh key was replayed");
        Ok(())
    }
}

struct Replay(Server);

impl Load for Replay {
    type World = (Engine, Vec<RecordKey>);
    type Batch = ();

    async fn world(&self) -> Result<Self::World> {
        let engine = Engine::new(&self.0).await?;
        let keys: Vec<_> = (0..REPLAYED)
            .map(|index| key("replay", index))
            .collect::<Result<_>>()?;
        for some in keys.chunks(256) {
            let executions = some.iter().map(|key| engine.execute(key));
            try_join_all(executions).await?;
        }
        Ok((engine, keys))
    }

    async fn batch(_: &Self::World, _ops: usize) -> Result<()> {
        Ok(())
    }

    async fn op((engine, keys): &Self::World, (): &(), index: usize) -> Result<()> {
        let outcome = engine.execute(&keys[index % REPLAYED]).await?;
        ensure!(outcome.replayed, "a key that ended ran again");
        Ok(())
    }
}

/// The driver alone.
struct ByHand {
    server: Server,
    claim: Bytes,
    completion: Bytes,
}

impl ByHand {
    fn new(server: &Server) -> Result<Self> {
        let lease = Duration::from_secs(30);
        let checkpoint = None;
        let payload = Bytes::from(serde_json::to_vec(&RECEIPT)?);
        Ok(Self {
            server: server.clone(),
            claim: codec::encode(
                &record(1, State::InFlight { lease, checkpoint }),
                RETENTION + lease,
            ),
            completion: codec::encode(&record(2, State::Completed { payload }), RETENTION),
        })
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value> {
        Ok(self
            .server
            .connection
            .clone()
            .send_packed_command(cmd)
            .await?)
    }

    async fn set(&self, name: &str, value: &Bytes, new: bool) -> Result<()> {
        let mut set = redis::cmd("SET");
        set.arg(name).arg(&value[..]);
        if new {
            set.arg("NX");
        }
        set.arg("PX").arg(RETENTION.as_millis() as u64);
        let reply = self.send(&set).await?;
        ensure!(reply == Value::Okay, "not set: {reply:?}");
        Ok(())
    }
}

struct TwoWrites(Server);

impl Load for TwoWrites {
    type World = ByHand;
    type Batch = Vec<String>;

    async fn world(&self) -> Result<ByHand> {
        ByHand::new(&self.0)
    }

    async fn batch(world: &ByHand, ops: usize) -> Result<Vec<String>> {
        let fresh = world.server.fresh(ops).await?;
        fresh.map(|index| name("fresh", index)).collect()
    }

    async fn op(world: &ByHand, names: &Vec<String>, index: usize) -> Result<()> {
        world.set(&names[index], &world.claim, true).await?;
        world.set(&names[index], &world.completion, false).await
    }
}

struct OneRead(Server);

impl Load for OneRead {
    type World = (ByHand, Vec<String>);
    type Batch = ();

    async fn world(&self) -> Result<Self::World> {
        let by_hand = ByHand::new(&self.0)?;
        let names: Vec<_> = (0..REPLAYED)
            .map(|index| name("floor", index))
            .collect::<Result<_>>()?;
        for some in names.chunks(256) {
            let sets = some
                .iter()
                .map(|name| by_hand.set(name, &by_hand.completion, false));
            try_join_all(sets).await?;
        }
        Ok((by_hand, names))
    }

    async fn batch(_: &Self::World, _ops: usize) -> Result<()> {
        Ok(())
    }

    async fn op((by_hand, names): &Self::World, (): &(), index: usize) -> Result<()> {
        let mut get = redis::cmd("GET");
        get.arg(&names[index % REPLAYED]);
        let found = matches!(by_hand.send(&get).await?, Value::BulkString(_));
        ensure!(found, "a key that was written is gone");
        Ok(())
    }
}

/// As long as the names that idem gives.
fn name(scope: &str, index: usize) -> Result<String> {
    Ok(format!("idem:{}", key(scope, index)?.as_str()))
}
