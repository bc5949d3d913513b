//! [`Link`]: commands of this store's kinds, sent as durably as it is set up.

use idem_core::{StoreError, Version};
use redis::{Cmd, Value};

use crate::{
    Durability,
    connection::Connection,
    error::{Failure, unexpected_reply},
    scripts::{Call, Prefix, Script, Scripts},
};

/// Where commands go, and how sure a write has to be.
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) scripts: Scripts,
    pub(crate) durability: Durability,
}

/// What the server answered to a write, and whether that is durable.
pub(crate) struct Written {
    pub(crate) reply: Value,
    confirmation: Result<(), StoreError>,
}

impl Written {
    /// Fails unless the write is as durable as it has to be.
    pub(crate) fn confirmed(self) -> Result<(), StoreError> {
        self.confirmation
    }
}

impl Link {
    pub(crate) fn new(connection: Connection, durability: Durability) -> Self {
        Self {
            connection,
            scripts: Scripts::new(),
            durability,
        }
    }

    /// Sends a write, and waits for what makes it durable on the same connection.
    pub(crate) async fn write(&self, name: &str, cmd: Cmd) -> Result<Written, Failure> {
        match self.durability.wait() {
            None => Ok(Written {
                reply: self.connection.command(name, cmd).await?,
                confirmation: Ok(()),
            }),
            Some(wait) => {
                let pair = Box::pin(self.connection.pair(name, cmd, wait));
                let (reply, answer) = pair.await?;
                Ok(Written {
                    reply,
                    confirmation: self.durability.confirmed(answer),
                })
            }
        }
    }

    /// Runs a script that writes.
    pub(crate) async fn run(&self, script: &Script, call: Call<'_>) -> Result<Written, Failure> {
        match self.write(call.name, script.by_digest(call)).await {
            Err(failure) if failure.is_script_unknown() => {
                Box::pin(self.write(call.name, script.by_text(call))).await
            }
            written => written,
        }
    }

    /// Reads a value and its ttl at one moment.
    pub(crate) async fn read(&self, name: &str) -> Result<Value, Failure> {
        let script = &self.scripts.read;
        let call = Call {
            name,
            expected: None,
            value: None,
        };
        match self.connection.command(name, script.by_digest(call)).await {
            Err(failure) if failure.is_script_unknown() => {
                self.connection.command(name, script.by_text(call)).await
            }
            reply => reply,
        }
    }

    /// Makes sure that a record that was found is as durable as one that was written here.
    ///
    /// Whoever wrote it may never have learned that it is: an answer given on its strength could be
    /// gone after a failover. Says whether the record is still there.
    pub(crate) async fn confirm(&self, name: &str, version: Version) -> Result<bool, StoreError> {
        let call = Call {
            name,
            expected: Some(&Prefix::of(version)),
            value: None,
        };
        let touched = self.run(&self.scripts.touch, call).await?;
        match touched.reply {
            Value::Int(1) => touched.confirmed().map(|()| true),
            Value::Int(0) => Ok(false),
            _ => Err(unexpected_reply()),
        }
    }
}
