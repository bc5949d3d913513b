//! Places for duplicates that wait for the transaction which holds their key.
//!
//! A duplicate that waits in the database holds a connection of the application's pool meanwhile.
//! So of each key one waits there at a time, and of all keys a quarter of the pool's connections;
//! the others wait here, without a connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use idem_core::RecordKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one process.
#[derive(Debug)]
pub struct Waiters {
    keys: Mutex<HashMap<RecordKey, Key>>,
    all: Arc<Semaphore>,
}

#[derive(Debug)]
struct Key {
    one: Arc<Semaphore>,
    /// How many wait for the place, or have it.
    users: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _user: User,
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

#[derive(Debug)]
struct User {
    waiters: Arc<Waiters>,
    key: RecordKey,
}

impl Waiters {
    /// For a pool of so many connections.
    #[must_use]
    pub fn of(connections: u32) -> Self {
        let places = usize::try_from(connections / 4).unwrap_or(1).max(1);
        Self {
            keys: Mutex::default(),
            all: Arc::new(Semaphore::new(places)),
        }
    }

    /// Waits for a place.
    pub async fn place(self: &Arc<Self>, key: &RecordKey) -> Place {
        let one = {
            let mut keys = self.keys();
            let entry = keys.entry(key.clone()).or_insert_with(|| Key {
                one: Arc::new(Semaphore::new(1)),
                users: 0,
            });
            entry.users += 1;
            Arc::clone(&entry.one)
        };
        let user = User {
            waiters: Arc::clone(self),
            key: key.clone(),
        };
        // Neither semaphore is ever closed. The key's place first: who waits for it takes none of
        // the others'.
        let one = one.acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Place {
            _user: user,
            _permits: [one, of_all],
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<RecordKey, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut keys = self.waiters.keys();
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.users -= 1;
            if entry.users == 0 {
                keys.remove(&self.key);
            }
        }
    }
}
