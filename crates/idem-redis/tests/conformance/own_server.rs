//! Servers of one case alone, for what would disturb the others.

use std::sync::Arc;

use idem_conformance::{Fill, Restart, async_trait};
use idem_core::store::Store;
use idem_testbed::{AppendFsync, Redis, RedisBuilder};

use crate::deployment::{Alone, Deployment};

/// A server that has its data again after it was killed. Sentinel and Cluster replace a server
/// instead, which is the matter of other tests.
pub(crate) async fn restartable(like: &Deployment) -> Option<Box<dyn Restart>> {
    let own = OwnServer::like(like, Redis::builder().append_only(AppendFsync::Always)).await?;
    Some(Box::new(own))
}

/// A server that can be made full.
pub(crate) async fn small(like: &Deployment) -> Option<Box<dyn Fill>> {
    let own = OwnServer::like(like, Redis::builder()).await?;
    Some(Box::new(own))
}

struct OwnServer {
    server: Redis,
    deployment: Deployment,
}

impl OwnServer {
    async fn like(deployment: &Deployment, server: RedisBuilder) -> Option<Self> {
        let Deployment::Alone(shared) = deployment else {
            return None;
        };
        let own = Alone::start(server, shared.user, shared.proxy.is_some());
        let own = own.await.unwrap();
        Some(Self {
            server: own.server.clone(),
            deployment: Deployment::Alone(own),
        })
    }

    async fn connect(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect("idem:").await)
    }
}

#[async_trait]
impl Restart for OwnServer {
    async fn store(&self) -> Arc<dyn Store> {
        self.connect().await
    }

    async fn restart(&self) {
        self.server.kill();
        self.server.restart().await.unwrap();
    }
}

#[async_trait]
impl Fill for OwnServer {
    async fn store(&self) -> Arc<dyn Store> {
        self.connect().await
    }

    /// Allows less than is there already.
    async fn fill(&self) {
        let set = ["CONFIG", "SET", "maxmemory", "1"];
        self.server.command(&set).unwrap();
    }
}
