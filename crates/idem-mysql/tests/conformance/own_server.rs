//! Servers and databases of one case alone, for what would disturb the others.

use std::sync::Arc;

use idem_conformance::{Fill, Restart, async_trait};
use idem_core::store::Store;

use crate::deployment::{Deployment, Setting, Way};

const DATABASE: &str = "idem";

/// A server that has its data again after it was killed.
pub(crate) async fn restartable(way: Way, settings: &'static [Setting]) -> Box<dyn Restart> {
    let start = move || Deployment::start(settings, way).unwrap();
    Box::new(Restartable(
        tokio::task::spawn_blocking(start).await.unwrap(),
    ))
}

struct Restartable(Deployment);

#[async_trait]
impl Restart for Restartable {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.connect(DATABASE).await)
    }

    async fn restart(&self) {
        self.0.server.kill();
        self.0.server.restart().await.unwrap();
    }
}

/// A database that can be made full.
pub(crate) fn full(deployment: &Deployment, database: String) -> Box<dyn Fill> {
    Box::new(Full {
        deployment: deployment.clone(),
        database,
    })
}

struct Full {
    deployment: Deployment,
    database: String,
}

#[async_trait]
impl Fill for Full {
    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(&self.database).await)
    }

    /// A disk that is full cannot be had without root, so the server says the words by itself.
    async fn fill(&self) {
        let Self { database, .. } = self;
        for event in ["INSERT", "UPDATE"] {
            let sql = format!(
                "DELIMITER //\nCREATE TRIGGER {database}.full_{event} BEFORE {event} \
                 ON {database}.idem_records FOR EACH ROW BEGIN \
                 IF LENGTH(NEW.body) > 30000 THEN SIGNAL SQLSTATE 'HY000' \
                 SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'; END IF; END //\n"
            );
            self.deployment.server.sql(&sql).unwrap();
        }
    }
}
