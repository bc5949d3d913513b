//! Connections that lanes have just left, and will want again in a moment.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use crate::session::Sessions;

/// How long a connection stays here before it goes back to its pool. Short, for somebody else may
/// want it; and long beside the time between two calls of a busy process, which are then spared
/// the pool's question whether the connection is still there.
const STAY: Duration = Duration::from_millis(10);

/// At most as many connections as there are lanes.
#[derive(Default)]
pub(super) struct Parked {
    place: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    connections: Vec<(PoolConnection<Postgres>, Instant)>,
    /// Whether a task is on its way to send them home.
    watched: bool,
}

impl Parked {
    /// A connection that was in use a moment ago.
    pub(super) fn take(&self) -> Option<PoolConnection<Postgres>> {
        let (connection, since) = self.lock().connections.pop()?;
        // An older one goes home by being dropped.
        (since.elapsed() < STAY).then_some(connection)
    }

    /// Keeps a connection for a moment, unless the pool is short of them: it then goes home at
    /// once.
    pub(super) fn put(self: &Arc<Self>, connection: PoolConnection<Postgres>, sessions: &Sessions) {
        let (true, Ok(runtime)) = (has_more(sessions.pool()), Handle::try_current()) else {
            return;
        };
        let mut place = self.lock();
        if place.connections.len() >= sessions.config().lanes.get() {
            return;
        }
        place.connections.push((connection, Instant::now()));
        let watched = mem::replace(&mut place.watched, true);
        drop(place);
        if !watched {
            runtime.spawn(Watch::over(self).run());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody else who wants a connection of the pool finds one.
fn has_more(pool: &PgPool) -> bool {
    let spare = pool.num_idle() > 0 || pool.size() < pool.options().get_max_connections();
    spare && !pool.is_closed()
}

/// Sends connections home that have stayed for long.
struct Watch {
    parked: Arc<Parked>,
    done: bool,
}

impl Watch {
    fn over(parked: &Arc<Parked>) -> Self {
        Self {
            parked: Arc::clone(parked),
            done: false,
        }
    }

    async fn run(mut self) {
        while !self.done {
            sleep(STAY).await;
            let mut place = self.parked.lock();
            let all = mem::take(&mut place.connections).into_iter();
            let (stay, go): (Vec<_>, _) = all.partition(|(_, since)| since.elapsed() < STAY);
            self.done = stay.is_empty();
            place.watched = !self.done;
            place.connections = stay;
            drop(place);
            drop(go);
        }
    }
}

impl Drop for Watch {
    /// A runtime that goes down takes its connections with it.
    fn drop(&mut self) {
        if !self.done {
            let gone = mem::take(&mut *self.parked.lock());
            drop(gone);
        }
    }
}
