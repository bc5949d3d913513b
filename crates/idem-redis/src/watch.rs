//! Waking waiters in other processes, by the server's client tracking.
//!
//! A waiter asks for its record on a connection of its own, and the server remembers who asked: when
//! the record changes it says so, once. Whoever writes sends and waits for nothing more than usual,
//! and where nobody waits the server does nothing more either.

mod interests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use idem_core::{
    RecordKey,
    store::{StoreError, Watch, Watcher},
};
use redis::{PushInfo, Value};
use tokio::sync::{OnceCell, watch};

use crate::{
    RedisConfig, RedisStore,
    connection::{Connection, Target},
    error::Failure,
};
use interests::{Interest, Interests};

/// Between two tries to listen on a connection that broke; waiters poll meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// Works for a store that [`connect`](RedisStore::connect)ed by a URL, because it takes a connection
/// more: one per store (per node in a Cluster), opened with the first waiter.
#[async_trait]
impl Watch for RedisStore {
    async fn watch(&self, key: &RecordKey) -> Result<Box<dyn Watcher>, StoreError> {
        let shared = self.shared();
        let listener = shared.listener.as_ref().ok_or_else(|| {
            StoreError::config(
                "a store over a connection that was given to it cannot open another to listen \
                 with; use `RedisStore::connect`",
            )
        })?;
        let name = shared.names.name(key);
        let interest = Interests::register(&listener.interests, &name);
        let changes = interest.changes();
        listener.arm(&name).await?;
        Ok(Box::new(TrackedRecord {
            listener: Arc::clone(listener),
            interest,
            changes,
            armed: true,
        }))
    }
}

/// The connection that is listened on, and who waits for what.
pub(crate) struct Listener {
    target: Target,
    config: RedisConfig,
    connection: OnceCell<Connection>,
    interests: Arc<Interests>,
}

impl Listener {
    /// Opens nothing before somebody waits.
    pub(crate) fn new(target: Target, config: RedisConfig) -> Self {
        Self {
            target,
            config,
            connection: OnceCell::new(),
            interests: Arc::default(),
        }
    }

    /// Has the server tell of the record's next change. Every connection has to be told that it
    /// tracks, and nobody knows here whether this one has been.
    async fn arm(&self, name: &str) -> Result<(), StoreError> {
        let mut track = redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON");
        let mut ask = redis::cmd("EXISTS");
        ask.arg(name);
        let connection = self.connection().await?;
        let armed = match connection.pair(name, track, ask).await {
            Ok((tracking, _)) => tracking.extract_error().map_err(Failure::maybe),
            Err(failure) => Err(failure),
        };
        armed.map(drop).map_err(|failure| {
            // What was armed on a connection that is given up will not be told.
            self.interests.wake_all();
            failure.into()
        })
    }

    async fn connection(&self) -> Result<&Connection, StoreError> {
        let open = async || {
            let interests = Arc::clone(&self.interests);
            let heard = move |info: PushInfo| {
                interests.heard(&info);
                Ok::<(), redis::aio::SendError>(())
            };
            self.target
                .clone()
                .open_listening(&self.config, heard)
                .await
        };
        self.connection.get_or_try_init(open).await
    }
}

/// One waiter's subscription.
struct TrackedRecord {
    listener: Arc<Listener>,
    interest: Interest,
    changes: watch::Receiver<()>,
    /// Whether the server has been asked since the last change.
    armed: bool,
}

#[async_trait]
impl Watcher for TrackedRecord {
    /// The server tells once, so it is asked again *before* the waiter looks: what changes while it
    /// looks is told as well.
    async fn changed(&mut self) {
        if self.armed {
            if self.changes.changed().await.is_err() {
                // The other end lives as long as the interest does.
                std::future::pending::<()>().await;
            }
            self.armed = false;
        }
        while let Err(error) = self.listener.arm(self.interest.name()).await {
            tracing::debug!(%error, "cannot listen for changes; trying again");
            tokio::time::sleep(PAUSE).await;
        }
        self.armed = true;
    }
}

/// The names in an `invalidate` message; nothing when it means all.
fn invalidated(data: &[Value]) -> Option<impl Iterator<Item = &str>> {
    let [Value::Array(names)] = data else {
        return None;
    };
    Some(names.iter().filter_map(|name| match name {
        Value::BulkString(name) => std::str::from_utf8(name).ok(),
        _ => None,
    }))
}
