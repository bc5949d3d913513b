//! Servers and schemas of one case alone, for what would disturb the others.

use std::sync::Arc;

use idem_conformance::{Fill, Restart, async_trait};
use idem_core::store::Store;
use idem_testbed::Postgres;

use crate::deployment::{Deployment, Setting, Way, with};

const SCHEMA: &str = "idem";

/// A server that has its data again after it was killed.
pub(crate) async fn restartable(way: Way, settings: &'static [Setting]) -> Box<dyn Restart> {
    let start = move || Deployment::start(with(settings), way).unwrap();
    Box::new(Restartable(
        tokio::task::spawn_blocking(start).await.unwrap(),
    ))
}

struct Restartable(Deployment);

#[async_trait]
impl Restart for Restartable {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.connect(SCHEMA).await)
    }

    async fn restart(&self) {
        self.0.server.kill();
        self.0.server.restart().await.unwrap();
        if let Some(bouncer) = &self.0.bouncer {
            bouncer.reaches_server().await.unwrap();
        }
    }
}

/// A schema that can be made full.
pub(crate) fn full(deployment: &Deployment, schema: String) -> Box<dyn Fill> {
    Box::new(Full {
        deployment: deployment.clone(),
        server: deployment.server.clone(),
        schema,
    })
}

struct Full {
    deployment: Deployment,
    server: Postgres,
    schema: String,
}

#[async_trait]
impl Fill for Full {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(&self.schema).await)
    }

    /// A disk that is full cannot be had without root, so the server says the words by itself.
    async fn fill(&self) {
        let schema = format!("\"{}\"", self.schema);
        let sql = format!(
            "CREATE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF length(NEW.payload) > 30000 THEN \
             RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {schema}.records \
             FOR EACH ROW EXECUTE FUNCTION {schema}.full_disk()"
        );
        self.server.sql(&sql).unwrap();
    }
}
