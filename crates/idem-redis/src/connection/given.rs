//! A connection that somebody else opened, and reopens.

use redis::aio::ConnectionLike;

/// A driver's connection, behind one type. Clones of it share one socket.
pub(crate) trait Given: Send + Sync {
    /// A handle to send one command with.
    fn handle(&self) -> Box<dyn ConnectionLike + Send>;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Given for C {
    fn handle(&self) -> Box<dyn ConnectionLike + Send> {
        Box::new(self.clone())
    }
}
