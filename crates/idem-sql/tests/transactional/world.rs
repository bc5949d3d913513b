//! What the world of every store has: a key, who claims it, and what became of it.
//!
//! Compiled into the tests of each store that is a server, inside of its own `world`.

use std::time::Duration;

use idem_core::{Claim, Execution, Idempotency, Policy, RecordKey};

use super::{TestedStore, Transactional, World};

/// The lease of the policies here: longer than any test.
pub(crate) const LEASE: Duration = Duration::from_secs(300);

impl World {
    /// The same database, with answers that are kept for a moment.
    pub(crate) fn forgetful(&self) -> Transactional {
        let policy = Policy::default()
            .lease(LEASE)
            .retention(Duration::from_millis(1));
        let idem = Idempotency::builder(self.store.clone()).policy(policy);
        self.store.transactional(&idem.build().unwrap())
    }

    /// Claims the key as whoever takes no part in a transaction does.
    pub(crate) async fn claim(&self) -> Claim {
        let engine = self.transactional.engine();
        engine.claim(&self.key, &self.fingerprint).await.unwrap()
    }

    /// [`claim`](Self::claim) of a key that is free.
    pub(crate) async fn acquire(&self) -> Execution {
        match self.claim().await {
            Claim::Acquired(execution) => execution,
            other => panic!("the key is free: {other:?}"),
        }
    }

    /// How many payments were committed.
    pub(crate) async fn payments(&self) -> usize {
        self.sql("SELECT reference FROM payments").await.len()
    }
}

pub(crate) fn transactional(store: &TestedStore) -> Transactional {
    let policy = Policy::default().lease(LEASE);
    let idem = Idempotency::builder(store.clone()).policy(policy);
    store.transactional(&idem.build().unwrap())
}

/// Whatever the store has of the key.
pub(crate) async fn is_absent(transactional: &Transactional, key: &RecordKey) -> bool {
    let found = transactional.engine().lookup(key).await;
    found.unwrap().is_none()
}

/// An error of the work that is no error of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told(pub(crate) &'static str);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Told {}
