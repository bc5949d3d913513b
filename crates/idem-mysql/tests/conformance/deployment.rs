//! Servers that all tests of the process share, and the ways to reach them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use idem_core::IdempotencyKey;
use idem_mysql::{MySqlConfig, MySqlStore};
use idem_testbed::{FaultyProxy, MariaDb, MariaDbBuilder, TestbedError};

/// How a store reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Direct,
    Proxy,
}

/// A setting of the server and its value.
pub(crate) type Setting = (&'static str, &'static str);

/// One server, and what stands before it. Clones are handles of the same.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) server: MariaDb,
    proxy: Option<FaultyProxy>,
}

impl Deployment {
    pub(crate) fn start(settings: &[Setting], way: Way) -> Result<Self, TestbedError> {
        let server = with(settings).start_blocking()?;
        let proxy = match way {
            Way::Proxy => Some(FaultyProxy::start(server.address())?),
            Way::Direct => None,
        };
        Ok(Self { server, proxy })
    }

    /// The same server, through one more proxy.
    pub(crate) fn behind(&self, database: &str) -> (FaultyProxy, String) {
        let proxy = FaultyProxy::start(self.server.address()).unwrap();
        let url = proxy.url(&self.server.url_of(database));
        (proxy, url)
    }

    /// A fresh handle on the records of a database, as another process would open one.
    pub(crate) async fn connect(&self, database: &str) -> MySqlStore {
        let url = self.server.url_of(database);
        let url = self
            .proxy
            .as_ref()
            .map_or(url.clone(), |proxy| proxy.url(&url));
        self.connect_by(&url, database).await
    }

    pub(crate) async fn connect_by(&self, url: &str, database: &str) -> MySqlStore {
        let create = format!("CREATE DATABASE IF NOT EXISTS {database}");
        self.server.sql(&create).unwrap();
        // The suite asserts of no call that it is quick, and asks the store without an engine, which
        // would ask again.
        let config = MySqlConfig::default().send_timeout(Duration::from_secs(60));
        let config = config.patience(Duration::from_secs(30)).sweep_every(None);
        let store = MySqlStore::connect_with(url, config).await.unwrap();
        store.migrate().await.unwrap();
        store
    }
}

/// A database that nobody else uses.
pub(crate) fn own_database() -> String {
    format!("db_{}", IdempotencyKey::random().as_str().replace('-', ""))
}

/// Starts a deployment once per process. It goes with the process, as nothing in a static is
/// dropped.
pub(crate) fn shared(way: Way, settings: &'static [Setting]) -> Result<Deployment, TestbedError> {
    type Shared = HashMap<(Way, &'static [Setting]), Deployment>;
    static SHARED: Mutex<Option<Shared>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = shared.get_or_insert_default();
    if let Some(deployment) = shared.get(&(way, settings)) {
        return Ok(deployment.clone());
    }
    let deployment = Deployment::start(settings, way)?;
    shared.insert((way, settings), deployment.clone());
    Ok(deployment)
}

/// A server with these settings.
pub(crate) fn with(settings: &[Setting]) -> MariaDbBuilder {
    let builder = MariaDb::builder();
    settings.iter().fold(builder, |builder, (name, value)| {
        builder.setting(name, value)
    })
}
