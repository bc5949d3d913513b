//! [`Kept`]: one connection that this crate opened, and opens again when it is of no more use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use redis::{RedisError, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::{connector::Connector, server::Replied};
use crate::{error::Failure, facts::Facts};

/// All callers share one connection, and one attempt to open it. Whoever finds it broken, or a
/// server that does not answer, throws it away; the next call opens another. So a server that comes
/// back is used at once, without a backoff of this layer's own: pauses are the engine's matter.
///
/// An attempt makes progress only while the runtime that began it is driven. So whoever joins one waits
/// no longer than an attempt may take, by its own runtime's clock, and then begins another.
///
/// Nothing is sent twice here.
pub(crate) struct Kept {
    connector: Connector,
    current: Mutex<Current>,
}

struct Current {
    generation: u64,
    attempt: Attempt,
    /// When somebody began to open it.
    begun: Option<Instant>,
}

type Attempt = Shared<BoxFuture<'static, Result<MultiplexedConnection, Failure>>>;

/// A connection, and which one it is.
pub(crate) struct Live {
    pub(crate) connection: MultiplexedConnection,
    generation: u64,
}

/// An attempt that failed, and whether it had been begun by somebody else.
struct Failed {
    joined: bool,
    failure: Failure,
}

impl Kept {
    /// Opens nothing before the first call.
    pub(crate) fn new(connector: Connector) -> Self {
        let attempt = attempt(&connector);
        Self {
            connector,
            current: Mutex::new(Current {
                generation: 0,
                attempt,
                begun: None,
            }),
        }
    }

    /// Another connection to the same server.
    pub(crate) fn beside(&self) -> Self {
        Self::new(self.connector.clone())
    }

    pub(crate) fn facts(&self) -> &Arc<Facts> {
        self.connector.facts()
    }

    /// How long a response may take that is not large.
    pub(crate) fn response_timeout(&self) -> Duration {
        self.connector.response_timeout()
    }

    /// The connection, opened if need be. Whoever waits longer than a connection may take to open is
    /// told that nothing was sent; the attempt goes on for those who come next.
    pub(crate) async fn live(&self) -> Result<Live, Failure> {
        if let Some(live) = self.open() {
            return Ok(live);
        }
        let opening = async {
            match self.opened().await {
                // It was begun before this call, and perhaps left alone since by callers that gave
                // up: what became of it says little about now.
                Err(Failed { joined: true, .. }) => self.opened().await,
                opened => opened,
            }
        };
        match timeout(self.connector.connect_timeout(), opening).await {
            Ok(opened) => opened.map_err(|failed| failed.failure),
            Err(_) => Err(late()),
        }
    }

    /// The connection, if it is open.
    fn open(&self) -> Option<Live> {
        let current = self.lock();
        match current.attempt.peek() {
            Some(Ok(connection)) => Some(Live {
                connection: connection.clone(),
                generation: current.generation,
            }),
            _ => None,
        }
    }

    async fn opened(&self) -> Result<Live, Failed> {
        let (generation, joined, attempt, begun) = {
            let mut current = self.lock();
            let generation = current.generation;
            let joined = current.begun.is_some();
            let begun = *current.begun.get_or_insert_with(Instant::now);
            (generation, joined, current.attempt.clone(), begun)
        };
        let left = self.connector.patience().saturating_sub(begun.elapsed());
        let opened = timeout(left, attempt).await;
        match opened.unwrap_or_else(|_| Err(late())) {
            Ok(connection) => Ok(Live {
                connection,
                generation,
            }),
            Err(failure) => {
                self.replace(generation);
                Err(Failed { joined, failure })
            }
        }
    }

    /// Turns a driver's error into a failure, and throws the connection away if it is to blame.
    pub(crate) fn failed(&self, live: &Live, error: RedisError) -> Failure {
        let failure = Failure::maybe(error);
        if failure.condemns_connection() {
            self.replace(live.generation);
        }
        failure
    }

    /// Throws the connection away if an error among a script's several answers blames it.
    pub(crate) fn hear(&self, live: &Live, replied: &Replied) {
        if let Ok(Value::Array(answers)) = replied {
            for answer in answers {
                if let Value::ServerError(error) = answer {
                    self.failed(live, error.clone().into());
                }
            }
        }
    }

    /// Makes the next call open a new connection, unless somebody has seen to that already. Calls
    /// that are on their way keep theirs.
    fn replace(&self, generation: u64) {
        let mut current = self.lock();
        if current.generation == generation {
            current.generation += 1;
            current.attempt = attempt(&self.connector);
            current.begun = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn attempt(connector: &Connector) -> Attempt {
    let connector = connector.clone();
    async move { connector.open().await }.boxed().shared()
}

fn late() -> Failure {
    Failure::not_sent(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
}
