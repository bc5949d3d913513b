//! A store in the memory of one worker, which breaks its calls by itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use idem_conformance::{FaultStore, Odds};
use idem_core::store::{StoreError, Watch};
use idem_memory::MemoryStore;
use idem_testbed::{FaultyProxy, TestbedError};

use super::{Deployment, Opened, Plan};
use crate::{
    disk::SmallDisk,
    fault::{Kind, Strike},
};

/// How many engines share the store.
const ENGINES: u64 = 4;

/// How often calls fail, and for how long they may be late.
const SHARE_OF_FAULTS: f64 = 0.06;
const LONGEST_DELAY: Duration = Duration::from_millis(300);
/// How long a call that hangs does so at most.
const HANG: Duration = Duration::from_millis(900);

pub(super) struct Memory;

#[async_trait]
impl Plan for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn start(&self, _: Option<&SmallDisk>) -> Result<Box<dyn Deployment>, TestbedError> {
        Ok(Box::new(Memory))
    }

    async fn open(&self, _: &str) -> Result<Opened, StoreError> {
        Err(StoreError::config("a store in memory needs no connection"))
    }

    fn is_in_worker(&self) -> bool {
        true
    }
}

#[async_trait]
impl Deployment for Memory {
    fn kinds(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn url(&self, _place: usize) -> String {
        String::new()
    }

    async fn strike(&mut self, _strike: &Strike) -> Result<()> {
        Ok(())
    }

    fn proxies(&self) -> Vec<FaultyProxy> {
        Vec::new()
    }
}

/// The stores within this worker, one for each engine, and the faults that strike them.
pub(crate) struct Inside(Vec<FaultStore<MemoryStore>>);

/// Opens the stores, over one memory.
pub(crate) fn inside(seed: u64) -> (Vec<Opened>, Inside) {
    let store = Arc::new(MemoryStore::new());
    let faults: Vec<_> = (0..ENGINES)
        .map(|_| FaultStore::over(Arc::clone(&store)))
        .collect();
    let opened = faults.iter().zip(seed..).map(|(faults, seed)| {
        tokio::spawn(strike(faults.clone(), seed));
        Opened {
            store: Arc::new(faults.clone()),
            watch: Some(Arc::clone(&store) as Arc<dyn Watch>),
        }
    });
    (opened.collect(), Inside(faults))
}

impl Inside {
    /// The faults that struck, by kind.
    pub(crate) fn struck(&self) -> BTreeMap<String, u64> {
        let mut struck = BTreeMap::new();
        for (kind, count) in self.0.iter().flat_map(FaultStore::struck) {
            *struck.entry(kind.to_owned()).or_default() += count;
        }
        struck
    }
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
