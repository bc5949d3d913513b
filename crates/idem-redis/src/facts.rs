//! [`Facts`]: what the servers behind a connection said of themselves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use idem_core::store::StoreError;

use crate::error::Failure;

/// Redis and Valkey take strings of 512 MB unless they are set up otherwise.
const LARGEST: usize = 512 << 20;
/// What a command has beside a record's name and value, at most.
const WORDS: usize = 4 << 10;

/// Read at every new connection, so that a failover or a restart brings them up to date.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The longest value that every server takes.
    largest: AtomicUsize,
    /// Whether one command may name several keys.
    combines: AtomicBool,
    /// Whether people were told already of what a server does not tell.
    warned: AtomicBool,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            largest: AtomicUsize::new(LARGEST),
            combines: AtomicBool::new(true),
            warned: AtomicBool::new(false),
        }
    }
}

impl Facts {
    /// Refuses a request that the server would break the connection over.
    pub(crate) fn admit(&self, bytes: usize) -> Result<(), Failure> {
        match bytes + WORDS > self.largest.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Failure::verdict(StoreError::too_large(
                "the record is longer than the server's `proto-max-bulk-len` or \
                 `client-query-buffer-limit` allows; raise them, or store less",
            ))),
        }
    }

    pub(crate) fn takes_at_most(&self, bytes: usize) {
        self.largest.store(bytes, Ordering::Relaxed);
    }

    /// Whether one command may stand for several requests.
    pub(crate) fn combines(&self) -> bool {
        self.combines.load(Ordering::Relaxed)
    }

    pub(crate) fn combine(&self, combines: bool) {
        self.combines.store(combines, Ordering::Relaxed);
    }

    /// The server, or a proxy in front of it, takes one key per command.
    pub(crate) fn never_combine(&self) {
        if self.combines.swap(false, Ordering::Relaxed) {
            tracing::info!("the server takes one key per command, so each record has its own");
        }
    }

    /// Whether this is the first time that people are told.
    pub(crate) fn first_warning(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }
}
