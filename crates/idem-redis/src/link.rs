//! [`Link`]: commands of this store's kinds, sent as durably as it is set up.

use futures_util::TryFutureExt;
use idem_core::{StoreError, Version, codec};
use redis::{Cmd, Value};

use crate::{
    Durability,
    connection::Connection,
    error::{Failure, unexpected_reply},
    lane::{Lane, Request},
    scripts::{Call, Replacement, Script, Scripts},
};

/// Where commands go, and how sure a write has to be.
pub(crate) struct Link {
    lane: Lane,
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
            lane: Lane::new(connection, durability.wait()),
            scripts: Scripts::new(),
            durability,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.lane.connection()
    }

    /// Sends a write, and waits for what makes it durable on the same connection.
    pub(crate) fn write<'a>(
        &'a self,
        name: &'a str,
        cmd: Cmd,
    ) -> impl Future<Output = Result<Written, Failure>> + 'a {
        self.send(name, Request::Write(cmd))
    }

    /// Puts a record in the place of another, by a script.
    pub(crate) fn replace<'a>(
        &'a self,
        name: &'a str,
        replacement: Replacement,
    ) -> impl Future<Output = Result<Written, Failure>> + 'a {
        self.send(name, Request::Replace(replacement))
    }

    /// No `async fn`, which would carry the request around.
    fn send<'a>(
        &'a self,
        name: &'a str,
        request: Request,
    ) -> impl Future<Output = Result<Written, Failure>> + 'a {
        self.lane.send(name, request).map_ok(|answer| Written {
            reply: answer.reply,
            confirmation: match answer.wait {
                None => Ok(()),
                Some(wait) => self.durability.confirmed(&wait),
            },
        })
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

    /// Reads a value.
    pub(crate) async fn get(&self, name: &str) -> Result<Value, Failure> {
        let find = Request::Find(name.to_owned());
        let answer = self.lane.send(name, find).await;
        answer.map(|answer| answer.reply)
    }

    /// Reads a value and its ttl at one moment.
    pub(crate) async fn read(&self, name: &str) -> Result<Value, Failure> {
        let script = &self.scripts.read;
        let call = Call {
            name,
            expected: None,
        };
        let answer = match self
            .lane
            .send(name, Request::Read(script.by_digest(call)))
            .await
        {
            Err(failure) if failure.is_script_unknown() => {
                let taught = Request::Read(script.by_text(call));
                Box::pin(self.lane.send(name, taught)).await
            }
            answer => answer,
        };
        answer.map(|answer| answer.reply)
    }

    /// Makes sure that a record that was found is as durable as one that was written here.
    ///
    /// Whoever wrote it may never have learned that it is: an answer given on its strength could be
    /// gone after a failover. Says whether the record is still there.
    pub(crate) async fn confirm(&self, name: &str, version: Version) -> Result<bool, StoreError> {
        let call = Call {
            name,
            expected: Some(&codec::version_prefix(version)),
        };
        let touched = self.run(&self.scripts.touch, call).await?;
        match touched.reply {
            Value::Int(1) => touched.confirmed().map(|()| true),
            Value::Int(0) => Ok(false),
            _ => Err(unexpected_reply()),
        }
    }
}
