//! Servers that all tests of the process share.

use std::{collections::HashMap, future::Future, sync::Mutex, time::Duration};

use idem_redis::{RedisConfig, RedisStore};
use idem_testbed::{
    Cluster, FaultyProxy, Redis, RedisBuilder, Sentinel, TestbedError, redis::Reply,
};

/// Longer than a server takes that shares its machine with many.
const PATIENCE: Duration = Duration::from_secs(10);
/// No server of these goes down, so none is to be replaced: a failover would lose what was
/// acknowledged right before it, as it may.
const NEVER: Duration = Duration::from_secs(300);

/// One deployment; clones are handles of the same.
#[derive(Clone)]
pub(crate) enum Deployment {
    Alone(Alone),
    Sentinel(Sentinel),
    Cluster(Cluster),
}

/// One server, a user of it, and a proxy where clients reach it through one.
#[derive(Clone)]
pub(crate) struct Alone {
    pub(crate) server: Redis,
    pub(crate) user: User,
    pub(crate) proxy: Option<FaultyProxy>,
}

#[derive(Clone, Copy)]
pub(crate) enum User {
    Default,
    /// One who may neither ask for the configuration nor touch other keys.
    Restricted,
}

impl Alone {
    pub(crate) async fn start(
        server: RedisBuilder,
        user: User,
        proxied: bool,
    ) -> Result<Self, TestbedError> {
        let rules = "app on >secret ~idem:* +@all -@dangerous";
        let server = server.user(rules).start().await?;
        let alone = Self {
            server,
            user,
            proxy: None,
        };
        match proxied {
            true => alone.behind_proxy(),
            false => Ok(alone),
        }
    }

    /// The same server through a proxy of its own.
    pub(crate) fn behind_proxy(self) -> Result<Self, TestbedError> {
        let proxy = FaultyProxy::start(self.server.address())?;
        Ok(Self {
            proxy: Some(proxy),
            ..self
        })
    }

    fn url(&self) -> String {
        let url = match self.user {
            User::Default => self.server.url(),
            User::Restricted => self.server.url_as("app", "secret"),
        };
        match &self.proxy {
            Some(proxy) => proxy.url(&url),
            None => url,
        }
    }
}

impl Deployment {
    pub(crate) async fn behind_proxy() -> Result<Self, TestbedError> {
        let alone = Alone::start(Redis::builder(), User::Default, true);
        alone.await.map(Self::Alone)
    }

    pub(crate) async fn restricted() -> Result<Self, TestbedError> {
        let alone = Alone::start(Redis::builder(), User::Restricted, false);
        alone.await.map(Self::Alone)
    }

    pub(crate) async fn sentinel() -> Result<Self, TestbedError> {
        let sentinel = Sentinel::builder()
            .behind_proxies()
            .down_after(NEVER)
            .start()
            .await?;
        Ok(Self::Sentinel(sentinel))
    }

    pub(crate) async fn cluster() -> Result<Self, TestbedError> {
        let cluster = Cluster::builder()
            .behind_proxies()
            .down_after(NEVER)
            .start()
            .await?;
        Ok(Self::Cluster(cluster))
    }

    /// A fresh connection, as another process would open one.
    pub(crate) async fn connect(&self, prefix: &str) -> RedisStore {
        // On a busy machine a reply may take longer than in production; a call that times out
        // without a fault would fail its case.
        let config = RedisConfig::default()
            .prefix(prefix)
            .connect_timeout(PATIENCE)
            .response_timeout(PATIENCE);
        RedisStore::connect_with(&self.url(), config).await.unwrap()
    }

    fn url(&self) -> String {
        match self {
            Self::Alone(alone) => alone.url(),
            Self::Sentinel(sentinel) => sentinel.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Runs a command past the store, on the server that the key lies on.
    pub(crate) async fn command(&self, name: &str, command: &[&[u8]]) -> Reply {
        let server = match self {
            Self::Alone(alone) => alone.server.clone(),
            Self::Sentinel(sentinel) => sentinel.primary().await.unwrap(),
            Self::Cluster(cluster) => {
                let slot = cluster.slot_of(name).unwrap();
                cluster.owner_of(slot).await.unwrap()
            }
        };
        server.command(command).unwrap()
    }
}

/// Starts a deployment once per process. It goes with the process, as nothing in a static is
/// dropped.
pub(crate) async fn shared<F>(
    name: &'static str,
    start: impl FnOnce() -> F,
) -> Result<Deployment, TestbedError>
where
    F: Future<Output = Result<Deployment, TestbedError>>,
{
    static SHARED: Mutex<Option<HashMap<&'static str, Deployment>>> = Mutex::new(None);
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one_at_a_time = STARTING.lock().await;
    let there = SHARED
        .lock()
        .unwrap()
        .get_or_insert_default()
        .get(name)
        .cloned();
    if let Some(there) = there {
        return Ok(there);
    }
    let started = start().await?;
    let mut shared = SHARED.lock().unwrap();
    shared.get_or_insert_default().insert(name, started.clone());
    Ok(started)
}
