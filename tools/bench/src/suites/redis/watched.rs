//! What it costs others that some callers wait to be woken: idem on both sides, once with
//! [`Watch`](idem_core::store::Watch), and waiters on another connection that the server has to tell; once
//! with neither.
//!
//! The operation is a claim that nobody contends for, and its release, which leaves nothing behind:
//! `FLUSHALL` between the slices would wake the waiters.

use std::time::Duration;

use anyhow::{Result, bail};
use idem_core::{Claim, Execution, Idempotency, OnBusy, Policy, RecordKey};
use idem_redis::RedisStore;
use idem_testbed::Redis;
use tokio::task::JoinSet;

use super::super::sample::{fingerprint, key};
use crate::case::{Case, Load};

/// Callers that wait for keys of others, each on a record of its own.
const WAITERS: usize = 64;
/// Longer than any run, so that nobody is woken by a lease that ran out.
const LONG: Duration = Duration::from_secs(3600);

pub(super) async fn case() -> Result<Case> {
    Ok(Case::new(
        "watched",
        Claims::start(true).await?,
        Claims::start(false).await?,
    ))
}

/// An engine, and whoever waits meanwhile.
struct World {
    idem: Idempotency,
    _elsewhere: Option<Elsewhere>,
}

/// What another process would be: keys that are held, and callers that wait for them.
struct Elsewhere {
    _held: Vec<Execution>,
    _waiters: JoinSet<()>,
}

impl World {
    async fn new(server: &Redis, watches: bool) -> Result<Self> {
        let idem = engine(server, watches).await?;
        // The server learns the scripts, and the store learns what the server has.
        claim_and_release(&idem, &key("warm-up", 0)?).await?;
        let elsewhere = match watches {
            true => Some(Elsewhere::new(engine(server, watches).await?).await?),
            false => None,
        };
        Ok(Self {
            idem,
            _elsewhere: elsewhere,
        })
    }
}

impl Elsewhere {
    async fn new(idem: Idempotency) -> Result<Self> {
        let mut held = Vec::new();
        let mut waiters = JoinSet::new();
        for index in 0..WAITERS {
            let key = key("held", index)?;
            held.push(claim(&idem, &key).await?);
            let idem = idem.clone();
            waiters.spawn(async move {
                let claim = idem.claim(&key, &fingerprint()).await;
                panic!("nobody gives the key up, but its waiter is told {claim:?}");
            });
        }
        Ok(Self {
            _held: held,
            _waiters: waiters,
        })
    }
}

async fn engine(server: &Redis, watches: bool) -> Result<Idempotency> {
    let store = RedisStore::connect(&server.url()).await?;
    let policy = Policy::default().lease(LONG).on_busy(OnBusy::Wait(LONG));
    let builder = Idempotency::builder(store.clone()).policy(policy);
    Ok(match watches {
        true => builder.watch(store).build()?,
        false => builder.build()?,
    })
}

async fn claim(idem: &Idempotency, key: &RecordKey) -> Result<Execution> {
    match idem.claim(key, &fingerprint()).await? {
        Claim::Acquired(execution) => Ok(execution),
        other => bail!("a fresh key was not acquired: {other:?}"),
    }
}

async fn claim_and_release(idem: &Idempotency, key: &RecordKey) -> Result<()> {
    claim(idem, key).await?.release().await?;
    Ok(())
}

/// Claims and releases on a server of its own, while callers wait on it or while none do.
struct Claims {
    server: Redis,
    watches: bool,
}

impl Claims {
    async fn start(watches: bool) -> Result<Self> {
        let server = Redis::start().await?;
        Ok(Self { server, watches })
    }
}

impl Load for Claims {
    type World = World;
    type Batch = Vec<RecordKey>;

    async fn world(&self) -> Result<World> {
        self.server.command(&["FLUSHALL"])?;
        World::new(&self.server, self.watches).await
    }

    async fn batch(_: &World, ops: usize) -> Result<Vec<RecordKey>> {
        (0..ops).map(|index| key("fresh", index)).collect()
    }

    async fn op(world: &World, keys: &Vec<RecordKey>, index: usize) -> Result<()> {
        claim_and_release(&world.idem, &keys[index]).await
    }
}
