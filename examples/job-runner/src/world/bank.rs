//! A bank as it should be: it takes an idempotency key of its own.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use idem::IdempotencyKey;

#[derive(Default)]
pub(crate) struct Bank {
    transfers: Mutex<HashMap<IdempotencyKey, usize>>,
    asked: AtomicUsize,
}

impl Bank {
    /// Moves money once per key, and gives the number of the transfer.
    pub(crate) fn transfer(&self, key: IdempotencyKey) -> usize {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut transfers = self.transfers.lock().expect("no panic under this lock");
        let next = transfers.len() + 1;
        *transfers.entry(key).or_insert(next)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn moved(&self) -> usize {
        let transfers = self.transfers.lock().expect("no panic under this lock");
        transfers.len()
    }
}
