//! What the suite may do to a deployment.

use std::sync::Arc;

use idem_conformance::{Browsing, Corrupt, Faults, Fill, Harness, Restart, Sweeping, async_trait};
use idem_core::{
    RecordKey,
    store::{Browse, Store},
};
use idem_testbed::skip_or_fail;

use crate::{
    deployment::{self, Deployment, Setting, Way, own_database},
    faults::FaultyConnection,
    own_server,
};

/// A shared deployment, and servers of their own for what would disturb others.
pub(crate) struct MySqlHarness {
    name: &'static str,
    deployment: Deployment,
    settings: &'static [Setting],
    way: Way,
}

/// The database of the cases that disturb nobody.
const DATABASE: &str = "idem";

impl MySqlHarness {
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
impl Harness for MySqlHarness {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(DATABASE).await)
    }

    fn payload_limit(&self) -> Option<usize> {
        // The server's default packet, less what stands beside a payload.
        let default = (16 << 20) - (8 << 10);
        self.settings.is_empty().then_some(default)
    }

    async fn restart(&self) -> Option<Box<dyn Restart>> {
        Some(own_server::restartable(self.way, self.settings).await)
    }

    async fn faults(&self) -> Option<Box<dyn Faults>> {
        Some(FaultyConnection::of(&self.deployment).await)
    }

    async fn corrupt(&self) -> Option<Box<dyn Corrupt>> {
        Some(Box::new(Damage {
            deployment: self.deployment.clone(),
            database: own_database(),
        }))
    }

    async fn fill(&self) -> Option<Box<dyn Fill>> {
        Some(own_server::full(&self.deployment, own_database()))
    }

    async fn sweep(&self) -> Option<Sweeping> {
        let store = self.deployment.connect(&own_database()).await;
        Some(Sweeping {
            store: Arc::new(store.clone()),
            sweep: Arc::new(store),
        })
    }

    async fn browse(&self) -> Option<Browsing> {
        let store = self.deployment.connect(&own_database()).await;
        Some(Browsing {
            store: Arc::new(store.clone()),
            browse: Arc::new(store),
        })
    }
}

/// Writes past the store.
struct Damage {
    deployment: Deployment,
    database: String,
}

impl Damage {
    /// `sql` names the table as TABLE.
    fn sql(&self, sql: &str, key: &RecordKey) -> String {
        let hex = |text: &str| -> String {
            let digits = text.bytes().map(|byte| format!("{byte:02x}"));
            format!("x'{}'", digits.collect::<String>())
        };
        let (scope, key) = (hex(key.scope()), hex(key.key()));
        let table = format!("{}.idem_records", self.database);
        let sql = sql.replace("TABLE", &table);
        let sql = format!("{sql} WHERE scope = {scope} AND `key` = {key}");
        self.deployment
            .server
            .sql(&format!("SET autocommit = 1; {sql}"))
            .unwrap()
    }
}

#[async_trait]
impl Corrupt for Damage {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(&self.database).await)
    }

    async fn write_unknown_format(&self, key: &RecordKey) {
        self.sql(
            "UPDATE TABLE SET body = CONCAT(x'ff', SUBSTR(body, 2)), \
             version = CONCAT(x'ff', SUBSTR(version, 2))",
            key,
        );
    }

    async fn damage(&self, key: &RecordKey) {
        self.sql(
            "UPDATE TABLE SET body = CONCAT(SUBSTR(body, 1, 40), x'00', SUBSTR(body, 42))",
            key,
        );
    }

    async fn browse(&self) -> Option<Arc<dyn Browse>> {
        Some(Arc::new(self.deployment.connect(&self.database).await))
    }

    async fn raw(&self, key: &RecordKey) -> Option<Vec<u8>> {
        let row = self.sql(
            "SELECT HEX(version), HEX(body), status, updated_at, expires_at FROM TABLE",
            key,
        );
        (!row.is_empty()).then(|| row.into_bytes())
    }
}
