//! [`Link`]: requests of this store's kinds, sent as durably as it is set up.

use std::sync::Arc;

use idem_core::store::{StoreError, Stored, Version, codec};
use redis::{Cmd, Value};

use crate::{
    RedisConfig,
    batch::{Answer, Answered, Batches, Line, Request, alone},
    connection::{Cluster, Connection, Kind},
    durability::Durability,
    error::{Failure, unexpected_reply},
    facts::Facts,
    reply,
    scripts::{Call, Replace, Replacement, Script, Scripts},
    write::{ROUNDS, restless},
};

/// Where requests go, and how sure a write has to be.
pub(crate) struct Link {
    connection: Connection,
    pub(crate) facts: Arc<Facts>,
    /// The requests to the one server; in a Cluster each node has its own.
    batches: Option<Batches>,
    replace: Replace,
    pub(crate) scripts: Scripts,
    pub(crate) durability: Durability,
    wait: Option<Cmd>,
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
    pub(crate) fn new(connection: Connection, config: &RedisConfig, facts: Arc<Facts>) -> Self {
        let wait = config.durability.wait();
        let batches = match connection.kind() {
            Kind::Server(server) => {
                let line = Line::new(server.clone(), Arc::clone(&facts), wait.clone(), None);
                Some(Batches::new(line))
            }
            Kind::Cluster(_) => None,
        };
        Self {
            connection,
            facts,
            batches,
            replace: Replace::new(),
            scripts: Scripts::new(),
            durability: config.durability,
            wait,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    async fn send(&self, name: &str, request: Request) -> Answered {
        match (&self.batches, self.connection.kind()) {
            (Some(batches), _) => batches.send(request).await,
            (None, Kind::Cluster(cluster)) => self.send_to_owner(cluster, name, request).await,
            (None, Kind::Server(_)) => Err(Failure::missing_reply()),
        }
    }

    async fn send_to_owner(&self, cluster: &Cluster, name: &str, request: Request) -> Answered {
        if let Cluster::Own(slots) = cluster
            && let Some(node) = slots.owner(name)
        {
            let batches = node.batches.get_or_init(|| {
                let slots = Arc::downgrade(slots);
                let (server, facts) = (node.server.clone(), Arc::clone(&self.facts));
                Batches::new(Line::new(server, facts, self.wait.clone(), Some(slots)))
            });
            return batches.send(request).await;
        }
        self.facts.admit(request.bytes())?;
        Box::pin(alone(cluster, request, &self.replace, self.wait.as_ref())).await
    }

    /// Sends a write, and waits for what makes it durable on the same connection.
    pub(crate) async fn write(&self, name: &str, cmd: Cmd) -> Result<Written, Failure> {
        self.written(self.send(name, Request::Write(cmd)).await)
    }

    /// Puts a record in the place of another, by a script.
    pub(crate) async fn replace(&self, replacement: Replacement) -> Result<Written, Failure> {
        let name = match self.batches {
            Some(_) => String::new(),
            None => replacement.name.clone(),
        };
        self.written(self.send(&name, Request::Replace(replacement)).await)
    }

    fn written(&self, answer: Answered) -> Result<Written, Failure> {
        let Answer::Wrote { reply, wait } = answer? else {
            return Err(Failure::unexpected_reply());
        };
        let confirmation = match wait {
            None => Ok(()),
            Some(wait) => self.durability.confirmed(&wait),
        };
        Ok(Written {
            reply,
            confirmation,
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

    /// Reads a record without its age.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        self.found(self.send(name, Request::Get(name.to_owned())).await)
    }

    /// Reads a record and its age.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        for _ in 0..ROUNDS {
            let found = self.found(self.send(name, Request::Read(name.to_owned())).await)?;
            if found.as_ref().is_none_or(|found| found.age.is_some()) {
                return Ok(found);
            }
        }
        Err(restless())
    }

    fn found(&self, answer: Answered) -> Result<Option<Stored>, StoreError> {
        match answer? {
            Answer::Read { value, ttl } => reply::read(value, ttl),
            Answer::Wrote { .. } => Err(unexpected_reply()),
        }
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
