//! Servers that all tests of the process share, and the ways to reach them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use idem_core::IdempotencyKey;
use idem_postgres::{PostgresConfig, PostgresStore, Protocol};
use idem_testbed::{
    FaultyProxy, PgBouncer, Postgres, PostgresBuilder, TestbedError, postgres::PgBouncerBuilder,
};

/// How a store reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Direct,
    /// In plain text.
    Text,
    Proxy,
    PgBouncer,
}

/// A setting of the server and its value.
pub(crate) type Setting = (&'static str, &'static str);

/// One server, and what stands before it. Clones are handles of the same.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) server: Postgres,
    way: Way,
    proxy: Option<FaultyProxy>,
    pub(crate) bouncer: Option<PgBouncer>,
}

impl Deployment {
    pub(crate) fn start(server: PostgresBuilder, way: Way) -> Result<Self, TestbedError> {
        let server = server.start_blocking()?;
        let proxy = match way {
            Way::Proxy => Some(FaultyProxy::start(server.address())?),
            _ => None,
        };
        let bouncer = match way {
            Way::PgBouncer => Some(pgbouncer().start_blocking(server.address())?),
            _ => None,
        };
        Ok(Self {
            server,
            way,
            proxy,
            bouncer,
        })
    }

    /// The same server, through one more proxy: before PgBouncer, where there is one.
    pub(crate) fn behind(&self) -> (FaultyProxy, String) {
        let (address, url) = match &self.bouncer {
            Some(bouncer) => (bouncer.address(), bouncer.url()),
            None => (self.server.address(), self.server.url()),
        };
        let proxy = FaultyProxy::start(address).unwrap();
        let url = proxy.url(&url);
        (proxy, url)
    }

    fn url(&self) -> String {
        match (&self.proxy, &self.bouncer) {
            (Some(proxy), _) => proxy.url(&self.server.url()),
            (None, Some(bouncer)) => bouncer.url(),
            (None, None) => self.server.url(),
        }
    }

    /// A fresh handle on the records of a schema, as another process would open one.
    pub(crate) async fn connect(&self, schema: &str) -> PostgresStore {
        self.connect_by(&self.url(), schema).await
    }

    pub(crate) async fn connect_by(&self, url: &str, schema: &str) -> PostgresStore {
        let protocol = match self.way {
            Way::Direct | Way::Proxy => Protocol::Prepared,
            Way::Text | Way::PgBouncer => Protocol::Simple,
        };
        // The suite asserts of no call that it is quick, and asks the store without an engine, which
        // would ask again.
        let config = PostgresConfig::default()
            .protocol(protocol)
            .send_timeout(Duration::from_secs(60));
        let config = config.schema(schema).unwrap();
        let store = PostgresStore::connect_with(url, config).await.unwrap();
        store.migrate().await.unwrap();
        store
    }
}

/// One that asks again at once for a server that was away, and not only after 15 seconds.
fn pgbouncer() -> PgBouncerBuilder {
    PgBouncer::builder().setting("server_login_retry", "0")
}

/// A schema that nobody else uses.
pub(crate) fn own_schema() -> String {
    format!("idem {}", &IdempotencyKey::random().as_str()[..13])
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
    let deployment = Deployment::start(with(settings), way)?;
    shared.insert((way, settings), deployment.clone());
    Ok(deployment)
}

/// A server with these settings.
pub(crate) fn with(settings: &[Setting]) -> PostgresBuilder {
    let builder = Postgres::builder();
    settings.iter().fold(builder, |builder, (name, value)| {
        builder.setting(name, value)
    })
}
