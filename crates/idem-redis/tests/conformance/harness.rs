//! What the suite may do to a deployment.

use std::{future::Future, sync::Arc};

use idem_conformance::{Browsing, Corrupt, Faults, Fill, Harness, Restart, async_trait};
use idem_core::{
    IdempotencyKey, RecordKey,
    store::{Browse, Store, Watch},
};
use idem_testbed::{TestbedError, redis::Reply, skip_or_fail};

use crate::{
    deployment::{self, Deployment},
    faults::FaultyDeployment,
    own_server,
};

/// A shared deployment, and servers of their own for what would disturb others.
pub(crate) struct RedisHarness {
    name: &'static str,
    deployment: Deployment,
}

const PREFIX: &str = "idem:";

impl RedisHarness {
    pub(crate) async fn of<F>(name: &'static str, start: impl FnOnce() -> F) -> Option<Self>
    where
        F: Future<Output = Result<Deployment, TestbedError>>,
    {
        let deployment = skip_or_fail(deployment::shared(name, start).await)?;
        Some(Self { name, deployment })
    }
}

/// A part of the key space that nobody else uses, within what the restricted user may touch.
pub(crate) fn own_prefix() -> String {
    format!("{PREFIX}{}:", IdempotencyKey::random().as_str())
}

#[async_trait]
impl Harness for RedisHarness {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(PREFIX).await)
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        own_server::restartable(&self.deployment).await
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        FaultyDeployment::of(&self.deployment).await
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        Some(Box::new(Damage(self.deployment.clone(), own_prefix())))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        own_server::small(&self.deployment).await
    }

    async fn watch(&self) -> Option<Arc<dyn Watch>> {
        Some(Arc::new(self.deployment.connect(PREFIX).await))
    }

    async fn browse(&self) -> Option<Browsing> {
        let store = self.deployment.connect(&own_prefix()).await;
        Some(Browsing {
            store: Arc::new(store.clone()),
            browse: Arc::new(store),
        })
    }
}

/// Writes past the store.
struct Damage(Deployment, String);

/// What the store calls a record; spelled out, so that a change of it does not go unseen.
fn name(prefix: &str, key: &RecordKey) -> String {
    let tag = if key.as_str().contains('{') { "{}" } else { "" };
    format!("{prefix}{tag}{}", key.as_str())
}

impl Damage {
    async fn change(&self, key: &RecordKey, change: impl FnOnce(&mut Vec<u8>)) {
        let name = name(&self.1, key);
        let mut value = self.raw(key).await.unwrap();
        change(&mut value);
        let set: [&[u8]; 4] = [b"SET", name.as_bytes(), &value, b"KEEPTTL"];
        self.0.command(&name, &set).await;
    }
}

#[async_trait]
impl Corrupt for Damage {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.connect(&self.1).await)
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.change(key, |value| value[0] = 200).await;
    }

    async fn damage(&self, key: &RecordKey) {
        self.change(key, |value| *value.last_mut().unwrap() ^= 1)
            .await;
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(Arc::new(self.0.connect(&self.1).await))
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        let name = name(&self.1, key);
        let get: [&[u8]; 2] = [b"GET", name.as_bytes()];
        match self.0.command(&name, &get).await {
            Reply::Bulk(value) => Some(value),
            Reply::Nil => None,
            other => panic!("no value: {other}"),
        }
    }
}
