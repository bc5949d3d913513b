//! What the suite may do to a deployment.

use std::sync::Arc;

use idem_conformance::{Browsing, Corrupt, Faults, Fill, Harness, Restart, Sweeping, async_trait};
use idem_core::{
    RecordKey,
    store::{Browse, Store},
};
use idem_testbed::skip_or_fail;

use crate::{
    deployment::{self, Deployment, Setting, Way, own_schema},
    faults::FaultyConnection,
    own_server,
};

/// A shared deployment, and servers of their own for what would disturb others.
pub(crate) struct PostgresHarness {
    name: &'static str,
    deployment: Deployment,
    settings: &'static [Setting],
    way: Way,
}

/// The schema of the cases that disturb nobody.
const SCHEMA: &str = "idem";

impl PostgresHarness {
    pub(crate) async fn of(
        name: &'static str,
        way: Way,
        settings: &'static [Setting],
    ) -> Option<Self> {
        let started = tokio::task::spawn_blocking(move || deployment::shared(way, settings));
        let deployment = skip_or_fail(started.await.unwrap())?;
        Some(Self {
            name,
            deployment,
            settings,
            way,
        })
    }
}

#[async_trait]
impl Harness for PostgresHarness {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(SCHEMA).await)
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        Some(own_server::restartable(self.way, self.settings).await)
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(FaultyConnection::of(&self.deployment).await)
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        let schema = own_schema();
        Some(Box::new(Damage {
            deployment: self.deployment.clone(),
            schema,
        }))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        let schema = own_schema();
        Some(own_server::full(&self.deployment, schema))
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let store = self.deployment.connect(&own_schema()).await;
        Some(Sweeping {
            store: Arc::new(store.clone()),
            sweep: Arc::new(store),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        let store = self.deployment.connect(&own_schema()).await;
        Some(Browsing {
            store: Arc::new(store.clone()),
            browse: Arc::new(store),
        })
    }
}

/// Writes past the store.
struct Damage {
    deployment: Deployment,
    schema: String,
}

impl Damage {
    fn sql(&self, sql: &str, key: &RecordKey) -> Vec<Vec<Option<String>>> {
        let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let (scope, key) = (quote(key.scope()), quote(key.key()));
        let table = format!("\"{}\".records", self.schema);
        let sql = sql.replace("TABLE", &table);
        let sql = format!("{sql} WHERE scope = {scope} AND key = {key}");
        self.deployment.server.sql(&sql).unwrap()
    }
}

#[async_trait]
impl Corrupt for Damage {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(&self.schema).await)
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.sql("UPDATE TABLE SET status = 'suspended'", key);
    }

    async fn damage(&self, key: &RecordKey) {
        self.sql(
            "UPDATE TABLE SET fingerprint = substr(fingerprint, 1, 31)",
            key,
        );
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(Arc::new(self.deployment.connect(&self.schema).await))
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        let rows = self.sql("SELECT records::text FROM TABLE", key);
        let row = rows.into_iter().flatten().next()?;
        row.map(String::into_bytes)
    }
}
