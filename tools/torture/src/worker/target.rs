//! The stores that a worker works on.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use idem_conformance::{FaultStore, Odds};
use idem_core::store::{Store, StoreError, StoreErrorKind, Watch};
use idem_memory::MemoryStore;
use idem_postgres::PostgresStore;
use idem_redis::{Durability, RedisConfig, RedisStore};
use serde::{Deserialize, Serialize};

use super::{Assignment, Struck, control::Control};

/// Between two attempts to reach a server that is down.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// How often calls in memory fail, and for how long they may be late.
const SHARE_OF_FAULTS: f64 = 0.06;
const LONGEST_DELAY: Duration = Duration::from_millis(300);
/// How long a call that hangs does so at most.
const HANG: Duration = Duration::from_millis(900);

/// Where the store is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    /// In this process, under so many engines, with faults of its own.
    Memory { engines: u16 },
    /// Redis in any deployment; writes wait for so many replicas.
    Redis { url: String, replicas: u32 },
    /// Postgres.
    Postgres { url: String },
}

/// A store and what comes with it.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) watch: Option<Arc<dyn Watch>>,
    faults: Option<FaultStore<MemoryStore>>,
}

/// Opens the stores, one for each engine, however long it takes; `None` when told to stop before.
pub(super) async fn open(
    assignment: &Assignment,
    control: &Arc<Control>,
) -> Result<Option<Vec<Opened>>> {
    let following = Arc::clone(control);
    tokio::spawn(async move { following.follow().await });
    if let Target::Memory { engines } = assignment.target {
        return Ok(Some(in_memory(engines, assignment.seed)));
    }
    loop {
        match connect(&assignment.target).await {
            Ok(opened) => return Ok(Some(vec![opened])),
            Err(error) if error.kind() == StoreErrorKind::Config => {
                return Err(error).context("the store cannot be used as it is");
            }
            Err(_) if control.is_stopped() => return Ok(None),
            Err(_) => tokio::time::sleep(TRY_AGAIN).await,
        }
    }
}

/// The faults that struck in this process.
pub(super) fn struck(stores: &[Opened]) -> Struck {
    let mut struck = Struck::new();
    for faults in stores.iter().filter_map(|opened| opened.faults.as_ref()) {
        for (kind, count) in faults.struck() {
            *struck.entry(kind.to_owned()).or_default() += count;
        }
    }
    struck
}

async fn connect(target: &Target) -> Result<Opened, StoreError> {
    match target {
        Target::Redis { url, replicas } => {
            let store = RedisStore::connect_with(url, redis_config(*replicas)).await?;
            Ok(Opened {
                watch: Some(Arc::new(store.clone())),
                store: Arc::new(store),
                faults: None,
            })
        }
        Target::Postgres { url } => {
            let store = PostgresStore::connect(url).await?;
            store.migrate().await?;
            Ok(Opened {
                store: Arc::new(store),
                watch: None,
                faults: None,
            })
        }
        Target::Memory { .. } => Err(StoreError::config("a store in memory needs no connection")),
    }
}

fn redis_config(replicas: u32) -> RedisConfig {
    let durability = match replicas {
        0 => Durability::Acknowledged,
        replicas => Durability::Replicated {
            replicas,
            timeout: Duration::from_millis(150),
        },
    };
    RedisConfig::default()
        .durability(durability)
        .connect_timeout(Duration::from_millis(300))
        .response_timeout(Duration::from_millis(300))
}

fn in_memory(engines: u16, seed: u64) -> Vec<Opened> {
    let store = Arc::new(MemoryStore::new());
    let opened = |engine| {
        let faults = FaultStore::over(Arc::clone(&store));
        tokio::spawn(strike(faults.clone(), seed.wrapping_add(u64::from(engine))));
        Opened {
            store: Arc::new(faults.clone()),
            watch: Some(Arc::clone(&store) as Arc<dyn Watch>),
            faults: Some(faults),
        }
    };
    (0..engines).map(opened).collect()
}

/// Lets calls fail at random, and lets those that hang go on every now and then.
async fn strike(faults: FaultStore<MemoryStore>, seed: u64) {
    let odds = Odds {
        // A create that is delivered twice is two creates, which no network makes of one.
        duplicate: 0.0,
        ..Odds::even(SHARE_OF_FAULTS, LONGEST_DELAY)
    };
    for round in 0.. {
        faults.at_random(odds, seed.wrapping_mul(31).wrapping_add(round));
        tokio::time::sleep(HANG).await;
        faults.heal();
    }
}
