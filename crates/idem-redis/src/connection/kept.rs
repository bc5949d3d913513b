//! [`Kept`]: one connection that this crate opened, and opens again when it is of no more use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use redis::{RedisError, RedisResult, Value, aio::MultiplexedConnection};

use super::{connector::Connector, server::Replied};
use crate::error::Failure;

/// All callers share one connection, and one attempt to open it. Whoever finds it broken, or a
/// server that does not answer, throws it away; the next call opens another. So a server that comes
/// back is used at once, without a backoff of this layer's own: pauses are the engine's matter.
///
/// Nothing is sent twice here.
pub(crate) struct Kept {
    connector: Connector,
    current: Mutex<Current>,
}

struct Current {
    generation: u64,
    attempt: Attempt,
    /// Whether somebody has begun to open it.
    begun: bool,
}

type Attempt = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

/// A connection, and which one it is.
pub(crate) struct Live {
    pub(crate) connection: MultiplexedConnection,
    generation: u64,
}

/// An attempt that failed, and whether it had been begun by somebody else.
struct Failed {
    joined: bool,
    error: RedisError,
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
                begun: false,
            }),
        }
    }

    /// The connection, opened if need be.
    pub(crate) async fn live(&self) -> Result<Live, Failure> {
        match self.opened().await {
            // It was begun before this call, and perhaps left alone since by callers that gave up:
            // what became of it says little about now.
            Err(Failed { joined: true, .. }) => self.opened().await,
            opened => opened,
        }
        .map_err(|failed| Failure::not_sent(failed.error))
    }

    async fn opened(&self) -> Result<Live, Failed> {
        let (generation, joined, attempt) = {
            let mut current = self.lock();
            let generation = current.generation;
            if let Some(Ok(connection)) = current.attempt.peek() {
                return Ok(Live {
                    connection: connection.clone(),
                    generation,
                });
            }
            let joined = std::mem::replace(&mut current.begun, true);
            (generation, joined, current.attempt.clone())
        };
        match attempt.await {
            Ok(connection) => Ok(Live {
                connection,
                generation,
            }),
            Err(error) => {
                self.replace(generation);
                Err(Failed { joined, error })
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
            current.begun = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn attempt(connector: &Connector) -> Attempt {
    let connector = connector.clone();
    async move { connector.connect().await }.boxed().shared()
}
